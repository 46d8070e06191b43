package protocol

import "time"

// Limits of messages, names and what they carry, on both sides.
const (
	// MaxName is the longest name of a file, in bytes.
	MaxName = 255
	// MaxDirectory is the longest path of a directory in a request, in bytes.
	MaxDirectory = 32 << 10
	// MaxToken is the longest token, in bytes: ZeroMQ's limit on identities.
	MaxToken = 255
	// MaxChunkSize bounds the chunk size that a server can be configured to
	// allow, in bytes.
	MaxChunkSize = 16 << 20
	// MaxOverhead is what a message may hold besides a chunk, in bytes: the
	// longest directory, a name, and the pickle around them.
	MaxOverhead = 64 << 10
	// MinMessageChunk is the room for a chunk, in bytes, in the messages that a
	// server takes, however small the chunks are that it allows: one that is
	// longer than agreed is to be answered, not to end the session, and the
	// longest payload of Remofile 2 needs as much.
	MinMessageChunk = 1 << 20
	// MaxListing is the longest listing of a directory, encoded, in bytes, and
	// MaxEntries how many entries it may have.
	MaxListing = 16 << 20
	MaxEntries = 400_000
)

// Limits of connections, on both sides.
const (
	// MaxCommand is the longest ZMTP command, in bytes. The longest that
	// is needed is a READY or an INITIATE with a token, about 600.
	MaxCommand = 4 << 10
	// MaxFrames is how many frames a message may have: two are needed, some
	// more are to be answered, not to end the session.
	MaxFrames = 8
	// HandshakeTimeout bounds a handshake, from the connection to the last
	// byte: a slow link needs less than a second a round trip.
	HandshakeTimeout = 10 * time.Second
	// WriteTimeout bounds the sending of each WritePiece bytes, and of a shorter
	// message: 35 kB/s is the slowest reader that is waited for.
	WriteTimeout = 30 * time.Second
	WritePiece   = 1 << 20
	// DeadTime is how long a peer may have vanished before its connection
	// ends, where TCP can tell.
	DeadTime = 15 * time.Second
)

// Limits of a server.
const (
	// MaxUnauthenticated is how many connections may be in the handshake, or
	// wait for it, at a time: a goroutine and a few KiB each.
	MaxUnauthenticated = 256
	// MaxSessions is how many clients, or connections of clients, may be
	// served at a time.
	MaxSessions = 1024
	// MaxLongListings is how many answers of more than LongListing bytes may be
	// under way at a time, so that sessions can't fill the memory together. One
	// more waits, for ListingTimeout at most.
	MaxLongListings = 4
	LongListing     = 256 << 10
	ListingTimeout  = 10 * time.Second
)

// What wrong tokens and keys cost the address that they come from: an IPv4 address
// or the /64 of an IPv6 one, since a host has all of that.
const (
	// FreeFailures is how many cost nothing: somebody mistypes, or forgot to
	// change the token in a few places.
	FreeFailures = 8
	// DelayStep is how much longer, with each further one, a connection waits
	// before its handshake begins, up to MaxDelay: well below the timeout of
	// clients that know the token and share the address.
	DelayStep = time.Second / 8
	MaxDelay  = time.Second
	// ForgiveTime is how long it takes to forgive one.
	ForgiveTime = time.Second
	// MaxAddresses is how many addresses are remembered for it.
	MaxAddresses = 4096
)

// Defaults of the original implementation, in bytes.
const (
	DefaultMinChunkSize  = 512
	DefaultMaxChunkSize  = 8192
	DefaultFileSizeLimit = 4 << 30
)

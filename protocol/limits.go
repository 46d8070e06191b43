package protocol

// Limits of both sides. A peer that exceeds one gets BAD_REQUEST or loses its
// connection, before anything of the announced size is allocated.
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
	// MaxOverhead is what a message may hold besides a chunk, in bytes.
	MaxOverhead = 64 << 10
	// MaxListing is the longest listing of a directory, encoded, in bytes:
	// some 300,000 entries.
	MaxListing = 16 << 20
)

// Defaults of the original implementation, in bytes.
const (
	DefaultMinChunkSize  = 512
	DefaultMaxChunkSize  = 8192
	DefaultFileSizeLimit = 4 << 30
)

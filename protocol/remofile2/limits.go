package remofile2

import (
	"crypto/sha256"
	"time"
)

// Limits of a session.
const (
	// MaxPayload is the longest payload, in bytes.
	MaxPayload = 1 << 20
	// MaxWindow is how far back a compressed payload may refer, in bytes: RFC 8878, section
	// 3.1.1.1.2, recommends to take this much.
	MaxWindow = 8 << 20
	// MinBlock is how many bytes of a compressed payload its blocks have on average, but for one.
	MinBlock = 256
	// MaxRequests is how many requests may be under way.
	MaxRequests = 128
	// MaxBytes is how many bytes they may take together: see Cost.
	MaxBytes = 16 << 20
	// MaxUnread is how many times MaxRequests and MaxBytes there may be, with the requests
	// whose answers the client has not read yet.
	MaxUnread = 2
	// MaxAnswers is how many answers are kept of requests that change something. One that the
	// client lacks is followed by fewer than MaxRequests that it lacks, too, and by fewer that
	// were sent at the same time.
	MaxAnswers = 2 * MaxRequests
	// MaxHandles is how many files may be open.
	MaxHandles = 1024
	// MaxWatches is how many paths may be watched, and MaxWatchedPaths how many bytes these may
	// take together.
	MaxWatches      = 4096
	MaxWatchedPaths = 1 << 20
	// MaxToldNames is how many names of one directory wait to be told, and MaxToldBytes how many
	// bytes those of all directories may take.
	MaxToldNames = 256
	MaxToldBytes = 64 << 10
	// MaxPage is the longest page of a listing, in bytes.
	MaxPage = MaxAnswer - 1<<10
	// MaxListings is how many listings of a server keep names for their next pages, and
	// MaxListingNames how many bytes these take in each.
	MaxListings     = 8
	MaxListingNames = 8 << 20
	// ListingTime is how long a listing keeps them when no page is asked for.
	ListingTime = 30 * time.Second
	// MaxRemovalDepth is how deep the directories may be nested in one that is removed
	// with all that is in it.
	MaxRemovalDepth = 256
	// MaxKept is how many parts a server keeps to be resumed, KeepTime for how long.
	MaxKept  = 1024
	KeepTime = 24 * time.Hour
	// MaxAllRequests is how many requests of all sessions may be under way, or have an answer
	// that was not read yet, MaxAllBytes how many bytes they may take together, and RoomTime
	// how long one more waits.
	MaxAllRequests = 128 * MaxRequests
	MaxAllBytes    = 32 * MaxBytes
	RoomTime       = 10 * time.Second
	// MaxExecuted is how many requests of all sessions are executed at a time.
	MaxExecuted = 512
	// DiskReserve is how much of a file system stays free of staged bytes, in percent.
	DiskReserve = 5
	// SignTime is how long the server waits for a sign of life of the holder of a name,
	// before it tells another that this is in use.
	SignTime = 2 * time.Second
	// DefaultGrace is how long a session is kept without a connection.
	DefaultGrace = time.Minute
)

// cutBuffer is what the cutting of chunks takes besides the longest one, in bytes.
const cutBuffer = 512 << 10

// DigestSize is the length of a block's digest, in bytes.
const DigestSize = sha256.Size

// Cost returns how many bytes a request with a payload of so many takes while it is under
// way: its payload, what its answer's may have, a page of LIST, and what the cutting of CHUNKS
// needs.
func (r *Request) Cost(payload int) int64 {
	switch r.Operation {
	case OpRead:
		return min(r.Length, MaxPayload)
	case OpDigest:
		return min(r.Blocks(), MaxPayload/DigestSize) * DigestSize
	case OpChunks:
		return min(r.Chunks(), MaxPayload/ChunkSize)*ChunkSize + LongestChunk(r.Exponent) + cutBuffer
	case OpList:
		return min(r.Length, MaxPage)
	default:
		return int64(payload)
	}
}

// Blocks returns how many digests DIGEST asks for.
func (r *Request) Blocks() int64 {
	return pieces(r.Length, r.Block)
}

// Chunks returns how many chunks there may be for CHUNKS to return.
func (r *Request) Chunks() int64 { return pieces(r.Length, ShortestChunk(r.Exponent)) }

func pieces(length, piece int64) int64 {
	if length == 0 {
		return 0
	}
	return (length-1)/piece + 1
}

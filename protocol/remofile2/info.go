package remofile2

// The features.
const (
	// FeatureResume is that of a client that takes its session over when it has lost the
	// connection.
	FeatureResume = "resume"
	// FeatureZstd is that of a side that takes compressed payloads.
	FeatureZstd = "zstd"
)

// Info is what a server tells of itself and of the session. All text is UTF-8.
type Info struct {
	Version       string   `cbor:"version"`  // of the program
	Protocol      uint64   `cbor:"protocol"` // 2
	Features      []string `cbor:"features"` // of both sides
	ReadOnly      bool     `cbor:"read_only"`
	Exclusive     bool     `cbor:"exclusive"`
	PortableNames bool     `cbor:"portable_names"`
	FileSizeLimit uint64   `cbor:"file_size_limit"` // bytes; 0 is none

	// The session's limits.
	Requests uint64 `cbor:"requests"` // under way
	Bytes    uint64 `cbor:"bytes"`    // of their payloads, and of those of their answers
	Payload  uint64 `cbor:"payload"`  // bytes of the longest one, decompressed
	Handles  uint64 `cbor:"handles"`
	Watches  uint64 `cbor:"watches"`
	Grace    uint64 `cbor:"grace"` // seconds that the session is kept without a connection
}

// Status is what goes on in a server. All text is UTF-8.
type Status struct {
	Started  Time   `cbor:"started"`
	Sessions []Peer `cbor:"sessions"`
	Holder   string `cbor:"holder"` // who has the server, where it is exclusive
	Staged   uint64 `cbor:"staged"` // bytes
}

// Peer is a session in Status.
type Peer struct {
	Peer     string `cbor:"peer"` // the address
	Since    Time   `cbor:"since"`
	Requests uint64 `cbor:"requests"` // under way
	Handles  uint64 `cbor:"handles"`  // open
	Watches  uint64 `cbor:"watches"`  // of directories
}

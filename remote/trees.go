package remote

import "time"

// Conflict is what a transfer of files does where a name is taken already.
type Conflict int

// The policies. Directories are merged, but for ConflictFail.
const (
	ConflictFail    Conflict = iota // the file, or the directory with all in it, fails with Exists
	ConflictSkip                    // what is there stays
	ConflictReplace                 // a file or a link is replaced, in one step when the other is complete
	ConflictRename                  // the file arrives under a free name, as "name (1).ext"
	ConflictNewer                   // as ConflictReplace where what is there was modified before, else as ConflictSkip
)

// Links is what becomes of the symbolic links of a source.
type Links int

// What becomes of symbolic links. Nothing ever goes through one that is in the destination.
const (
	LinksFollow Links = iota // files arrive as what the link leads to; a link to a directory fails
	LinksKeep                // they stay links, with the same target
)

// TreeOptions are the options of UploadFiles and DownloadFiles. The zero value is good.
type TreeOptions struct {
	Conflict  Conflict
	Filter    *Filter // what takes part; nil is everything
	Links     Links
	Recursive bool // directories, with all in them; else they fail with NotAFile
	// DryRun decides and tells everything, and changes nothing on either side.
	DryRun bool
	// Relative is the directory that sources are relative to, "" the current one, or "/" of the
	// server. Where it is given they arrive with their path in it, else with their name.
	Relative string
	// ChunkSize is that of TransferOptions.
	ChunkSize int
	// Observe is called with all that happens, by one goroutine at a time, and must not call the Client.
	Observe func(Event)
}

// SyncOptions are the options of SynchronizeUpload and SynchronizeDownload. The zero value is good.
// Of the policies for conflicts, ConflictFail and ConflictReplace replace what differs, and
// ConflictRename is none for a synchronisation.
type SyncOptions struct {
	TreeOptions
	// Delete removes at the destination what the source does not have, but for what the filter
	// excludes.
	Delete bool
	// Checksum compares files of the same size by the digests of their content, else by size and
	// modification time.
	Checksum bool
}

// Event is something that happens in the transfer of files.
type Event struct {
	Kind  EventKind
	Path  string // relative to the root of the transfer, with slashes
	From  string // of EventRenamed: where it was before, likewise; of EventConflict under another name: the taken one
	Size  int64  // of the file, in bytes
	Bytes int64  // of EventMoved: that have been transferred or found to be there since the last one; of EventDone: that crossed the link
	Err   error  // of EventFailed
}

// EventKind is the kind of an Event.
type EventKind int

// The kinds of events.
const (
	EventFound      EventKind = iota + 1 // a file is going to be transferred
	EventStarted                         // the transfer of a file begins
	EventMoved                           // a piece of it is there
	EventDone                            // the file is complete
	EventDirectory                       // a directory was made
	EventLink                            // a symbolic link was made
	EventAttributes                      // permission bits or times were changed, nothing else
	EventConflict                        // a name is taken, and the policy leaves what is there
	EventRemoved                         // something was removed, with all in it
	EventRenamed                         // a file of the destination got another name
	EventUnchanged                       // a file, a directory or a link is there already
	EventFailed
)

// Summary counts what a transfer of files has done, or with DryRun would have.
type Summary struct {
	Files       int64 // that were transferred
	Directories int64 // that were made
	Links       int64 // that were made
	Attributes  int64 // files and directories of which only these were changed
	Removed     int64 // each directory is one, whatever was in it
	Renamed     int64
	Unchanged   int64
	Skipped     int64 // because of a conflict
	Failed      int64
	Bytes       int64 // size of Files
	Sent        int64 // of Bytes: that had to be transferred
	Saved       int64 // of Bytes: that were there already; and the size of Renamed
	Took        time.Duration
}

// Package fs mounts a directory of a jail as a local folder.
//
// It speaks to the server through package remote, which carries whole files
// (Remofile 1), and to the kernel through go-fuse.
//
// # Files
//
// Opening a file downloads it into a private temporary file, its copy, which
// all handles of the file share. Reads and writes go to the copy. A flush (each
// close of a descriptor) and an fsync upload the copy if it has changed; others
// see the old content until the upload is complete, then the new one. An error
// of the upload comes out of close or fsync and stays with the handle. A new
// file is on the server after its first flush, not before. While a file is sent,
// writes to it wait.
//
// What an open reads after another client's close is that client's data: all
// handles of the file, the older ones too, read the new copy then. Of two clients
// that write the same file the later upload wins; only a new file that was not
// written to replaces nothing. A file that an open empties keeps its content on the
// server until something was written and flushed, or the file is closed.
//
// fsync returns when the server has the file in its kernel: the protocol can't
// ask for more.
//
// # Directories
//
// The kernel caches no names and no attributes. The listing of a directory is
// kept for Options.CacheTime, in which changes of other clients may go unseen; a
// name that the listing lacks is asked of the server. Own changes are seen at
// once.
//
// # A server that can't be reached
//
// Operations fail with EHOSTDOWN when the server has been silent for the client's
// timeout, and work again when it is back. A look-up, a listing or an open can be
// interrupted; a change that was sent waits for its answer, and so do close and
// fsync. Nothing of the mount point itself needs the server, so that it can always
// be unmounted.
//
// # What the protocol does not carry
//
//   - Owners and permission bits: all belongs to the user who mounted, with 0666
//     for files and 0777 for directories less that user's umask. A change of them
//     that changes nothing succeeds, any other fails with EOPNOTSUPP.
//   - Times: access times are accepted and dropped. A modification time can only
//     be set to now, which uploads the file again; other times fail with
//     EOPNOTSUPP, and so do those of directories.
//   - rename fails with EXDEV, so that mv copies.
//   - Links and special files can't be made (EPERM); extended attributes and
//     fallocate are not supported (EOPNOTSUPP).
//   - Free space: statfs always tells 1 PiB.
//   - A server that is not ours can neither replace nor remove a file: opening
//     one for writing, and unlink, fail with EOPNOTSUPP.
//   - Locks hold between the processes of one mount only.
package fs

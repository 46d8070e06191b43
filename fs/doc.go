// Package fs mounts a directory of a jail as a local folder.
//
// It speaks to the server through package remote and to the kernel through go-fuse. On a
// server that speaks Remofile 2 the nodes of the mount are the server's files, read and
// written in ranges. Remofile 1 carries whole files only: the types for that begin with
// "whole".
//
// # Files
//
// A node is known by the server's identity of it (device, inode, time of birth), whatever
// its names are. An open sends the name by which the node is known here; where that is
// another file's by now it fails with ESTALE, and the kernel looks the name up again, once: it is then shown the file
// that the open has found, and opens that, so that a name which others replace all the time can be opened. So an open after another client's close
// reads that client's data.
//
// Writes are sent as they come (a few bytes within 2 ms) and not waited for; flush (each close of a descriptor) and
// fsync wait. The first error stays with the handle, and comes out of its next write, flush
// or fsync. Whatever else is asked of the file waits for the writes under way before.
// A write at the end (O_APPEND) goes to the end that the file has on the server then.
//
// A new file is staged: its name is reserved, but nobody else sees it before it is published,
// complete so far, by the first of: a flush, fsync, rename, link, another open. Later writes
// are visible as they come. A file that is created to be appended to is there at once. Times that are set of what is
// staged are sent as a write is: it is flush that tells if they could not be.
//
// An open with O_TRUNC of a file with one name and no open handle leaves the old content on
// the server until the first flush after a write, or fsync, which put the new content in its
// place in one step; where nothing was written the release makes the file empty. The node then
// stands for the new file, and keeps its number. All other changes are made in place.
//
// A directory that was removed through this mount and is still open has no entries, and attributes that only those
// see who have it open. One that others have removed fails with ESTALE.
//
// # Caches
//
// The kernel keeps names and attributes for a second, or Options.CacheTime, in which changes of other
// clients may go unseen, and pages until the time of modification changes. What is read in
// sequence is read ahead. Names that do not exist it does not keep.
//
// Where programs look up some names of a directory, one after the other, that is listed if it is short, and answers
// the look-ups of the next second: of names whose time of change was ten seconds ago then, by the server's clock
// as it was when the mount began. (A file system whose clock is behind that one makes young files look old.)
//
// The kernel keeps the names of a directory that was read, too, and answers the next read of it where the open finds that the
// mount would tell the same. Of the entries it is told the attributes with the names, but for those that it has.
//
// Where programs read the directories in a directory one after the other, the next ones are listed ahead, if they
// are short, and these listings are as good as others for a second.
//
// A directory that is looked into for longer than that is watched, and one in which this mount changes several entries
// within a second: the server tells what others change in it. What it told of the directory is remembered then, until
// it tells of a change, loses the link or
// gives the watch up, and for a minute at most, and answers getattr, readdir and the look-ups after that,
// so that an unchanged tree is walked without a request. The kernel keeps such answers for half a second, so
// that a change is seen within a second, too: its own caches are not told of changes, which takes locks that
// operations hold while they wait for the server. Changes through this mount, which the server does not tell
// of, outdate what they touch. What is not from memory:
//
//   - An open, and the attributes of an open file. Where an open finds another file under the name, all
//     names on the way there are asked for again.
//   - Look-ups of names that have not been the same for ten seconds, as far as the mount has seen or their times of
//     change tell, unless the directory was just read, and
//     those of names that the kernel keeps, which a create with O_EXCL begins with: that a lock file is gone is
//     seen at once.
//   - Names that do not exist: what others have just made can be opened. There is one exception: a thread that has changed
//     an entry of a watched directory, and looks up a name there next, 2 ms later at most, seems to be about to make it. It
//     is told from memory that there is no such name, if that is known, and so does not find one that others have made since,
//     of which the server has not told yet. Making it fails then as it has to, or opens what there is: that the server
//     decides.
//   - Attributes of files with several names, and of directories that are not watched themselves: they
//     change without a notice.
//
// Two changes by processes of the server's machine the server does not see, so that attributes may be a minute
// old: writes through mmap until the file is closed, and that a file with one name gets a second one, with what is
// done by that.
//
// # A server that can't be reached
//
// An operation fails with EHOSTDOWN when the server has been silent for the client's timeout, and
// with remote.Options.FailFast all others fail at once then, until it is back. Meanwhile the root, statfs
// and the names, listings and links that the server told before go on answering, however old; a listing not
// where something in the directory was changed through this mount since, attributes not of a file that is
// being written. So the mount can always be unmounted. Look-ups, opens, reads and writes that have
// not been sent can be interrupted: half a second after the signal they fail with EINTR. A change that
// was sent waits for its answer, and so do close and fsync.
//
// Open files go on over the next link. Where the server has forgotten the session (it was restarted, or
// did not hear of the client for longer than its grace time), a file is opened again by its name; if
// that is another file now, its operations fail with ESTALE. A handle then fails with EIO from its next
// write, flush or fsync on if a write was not acknowledged or its content was staged, and from its
// next fsync on if it has written since the last one: the server's machine may have been restarted, too.
//
// A panic in an operation is its EIO. When the process of the mount dies, the program of
// Options.Watcher detaches the mount.
//
// # What there is not
//
//   - Owners: all belongs to the user who mounted.
//   - Set-uid and set-gid bits, devices and pipes can't be made (EPERM). Access times are those
//     of the last change. There are no extended attributes.
//   - Locks hold between the processes of one mount only.
//
// # On a Remofile 1 server
//
// Opening a file downloads it into a private temporary file, its copy, which
// all handles of the file share. Reads and writes go to the copy. A flush and an fsync
// upload the copy if it has changed; others see the old content until the upload is complete,
// then the new one. A new file is on the server after its first flush, not before.
// While a file is sent, writes to it wait.
//
// What an open reads after another client's close is that client's data: all
// handles of the file, the older ones too, read the new copy then. Of two clients
// that write the same file the later upload wins; only a new file that was not
// written to replaces nothing. A file that an open empties keeps its content on the
// server until something was written and flushed, or the file is closed.
//
// The kernel caches no names and no attributes. The listing of a directory is kept for
// Options.CacheTime; a name that it lacks is asked of the server.
//
//   - fsync returns when the server has the file in its kernel.
//   - Permission bits are 0666 for files and 0777 for directories less the umask of the user who
//     mounted. A change of them that changes nothing succeeds, any other fails with EOPNOTSUPP.
//   - A modification time can only be set to now, which uploads the file again; other times
//     fail with EOPNOTSUPP, and so do those of directories.
//   - rename fails with EXDEV, so that mv copies. Links can't be made (EPERM); fallocate is not
//     supported (EOPNOTSUPP). statfs always tells 1 PiB.
//   - A server that is not ours can neither replace nor remove a file: opening
//     one for writing, and unlink, fail with EOPNOTSUPP.
package fs

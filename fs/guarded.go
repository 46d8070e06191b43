package fs

import (
	"log/slog"
	"runtime/debug"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// guarded makes a panic in one operation that operation's EIO, with its stack in the log, and not the end
// of the mount. What the nodes do not have (extended attributes, locks) it leaves alone.
type guarded struct {
	fuse.RawFileSystem
	log *slog.Logger
}

// recover is deferred by each operation.
func (g guarded) recover(op string, status *fuse.Status) {
	if r := recover(); r != nil {
		g.log.Error("panic", "op", op, "err", r, "stack", string(debug.Stack()))
		*status = fuse.EIO
	}
}

func (g guarded) Lookup(cancel <-chan struct{}, in *fuse.InHeader, name string, out *fuse.EntryOut) (status fuse.Status) {
	defer g.recover("lookup", &status)
	return g.RawFileSystem.Lookup(cancel, in, name, out)
}

func (g guarded) Forget(nodeid, nlookup uint64) {
	defer g.recover("forget", new(fuse.Status))
	g.RawFileSystem.Forget(nodeid, nlookup)
}

func (g guarded) GetAttr(cancel <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) (status fuse.Status) {
	defer g.recover("getattr", &status)
	return g.RawFileSystem.GetAttr(cancel, in, out)
}

func (g guarded) SetAttr(cancel <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) (status fuse.Status) {
	defer g.recover("setattr", &status)
	return g.RawFileSystem.SetAttr(cancel, in, out)
}

func (g guarded) Mknod(cancel <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) (status fuse.Status) {
	defer g.recover("mknod", &status)
	return g.RawFileSystem.Mknod(cancel, in, name, out)
}

func (g guarded) Mkdir(cancel <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) (status fuse.Status) {
	defer g.recover("mkdir", &status)
	return g.RawFileSystem.Mkdir(cancel, in, name, out)
}

func (g guarded) Unlink(cancel <-chan struct{}, in *fuse.InHeader, name string) (status fuse.Status) {
	defer g.recover("unlink", &status)
	return g.RawFileSystem.Unlink(cancel, in, name)
}

func (g guarded) Rmdir(cancel <-chan struct{}, in *fuse.InHeader, name string) (status fuse.Status) {
	defer g.recover("rmdir", &status)
	return g.RawFileSystem.Rmdir(cancel, in, name)
}

func (g guarded) Rename(cancel <-chan struct{}, in *fuse.RenameIn, oldName string, newName string) (status fuse.Status) {
	defer g.recover("rename", &status)
	return g.RawFileSystem.Rename(cancel, in, oldName, newName)
}

func (g guarded) Link(cancel <-chan struct{}, in *fuse.LinkIn, filename string, out *fuse.EntryOut) (status fuse.Status) {
	defer g.recover("link", &status)
	return g.RawFileSystem.Link(cancel, in, filename, out)
}

func (g guarded) Symlink(cancel <-chan struct{}, in *fuse.InHeader, pointedTo string, linkName string, out *fuse.EntryOut) (status fuse.Status) {
	defer g.recover("symlink", &status)
	return g.RawFileSystem.Symlink(cancel, in, pointedTo, linkName, out)
}

func (g guarded) Readlink(cancel <-chan struct{}, in *fuse.InHeader) (target []byte, status fuse.Status) {
	defer g.recover("readlink", &status)
	return g.RawFileSystem.Readlink(cancel, in)
}

func (g guarded) Create(cancel <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) (status fuse.Status) {
	defer g.recover("create", &status)
	return g.RawFileSystem.Create(cancel, in, name, out)
}

func (g guarded) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) (status fuse.Status) {
	defer g.recover("open", &status)
	return g.RawFileSystem.Open(cancel, in, out)
}

func (g guarded) Read(cancel <-chan struct{}, in *fuse.ReadIn, buf []byte) (result fuse.ReadResult, status fuse.Status) {
	defer g.recover("read", &status)
	return g.RawFileSystem.Read(cancel, in, buf)
}

func (g guarded) Lseek(cancel <-chan struct{}, in *fuse.LseekIn, out *fuse.LseekOut) (status fuse.Status) {
	defer g.recover("lseek", &status)
	return g.RawFileSystem.Lseek(cancel, in, out)
}

func (g guarded) Release(cancel <-chan struct{}, in *fuse.ReleaseIn) {
	defer g.recover("release", new(fuse.Status))
	g.RawFileSystem.Release(cancel, in)
}

func (g guarded) Writev(cancel <-chan struct{}, in *fuse.WriteIn, data [][]byte) (written uint32, status fuse.Status) {
	defer g.recover("writev", &status)
	return g.RawFileSystem.Writev(cancel, in, data)
}

func (g guarded) CopyFileRange(cancel <-chan struct{}, in *fuse.CopyFileRangeIn) (written uint32, status fuse.Status) {
	defer g.recover("copyfilerange", &status)
	return g.RawFileSystem.CopyFileRange(cancel, in)
}

func (g guarded) Flush(cancel <-chan struct{}, in *fuse.FlushIn) (status fuse.Status) {
	defer g.recover("flush", &status)
	return g.RawFileSystem.Flush(cancel, in)
}

func (g guarded) Fsync(cancel <-chan struct{}, in *fuse.FsyncIn) (status fuse.Status) {
	defer g.recover("fsync", &status)
	return g.RawFileSystem.Fsync(cancel, in)
}

func (g guarded) Fallocate(cancel <-chan struct{}, in *fuse.FallocateIn) (status fuse.Status) {
	defer g.recover("fallocate", &status)
	return g.RawFileSystem.Fallocate(cancel, in)
}

func (g guarded) OpenDir(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) (status fuse.Status) {
	defer g.recover("opendir", &status)
	return g.RawFileSystem.OpenDir(cancel, in, out)
}

func (g guarded) ReadDir(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) (status fuse.Status) {
	defer g.recover("readdir", &status)
	return g.RawFileSystem.ReadDir(cancel, in, out)
}

func (g guarded) ReadDirPlus(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) (status fuse.Status) {
	defer g.recover("readdirplus", &status)
	return g.RawFileSystem.ReadDirPlus(cancel, in, out)
}

func (g guarded) ReleaseDir(in *fuse.ReleaseIn) {
	defer g.recover("releasedir", new(fuse.Status))
	g.RawFileSystem.ReleaseDir(in)
}

func (g guarded) FsyncDir(cancel <-chan struct{}, in *fuse.FsyncIn) (status fuse.Status) {
	defer g.recover("fsyncdir", &status)
	return g.RawFileSystem.FsyncDir(cancel, in)
}

func (g guarded) StatFs(cancel <-chan struct{}, in *fuse.InHeader, out *fuse.StatfsOut) (status fuse.Status) {
	defer g.recover("statfs", &status)
	return g.RawFileSystem.StatFs(cancel, in, out)
}

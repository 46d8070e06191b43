package fs

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path"
	"strconv"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/remofile/remofile/remote"
)

// Options configure a mount. The zero value is good.
type Options struct {
	// FsName is what mount and df show as the source, like
	// "host:port:/directory". "" is "rmf:" and the directory.
	FsName string
	// ReadOnly refuses every change with EROFS.
	ReadOnly bool
	// NoExec lets nothing be executed.
	NoExec bool
	// UID and GID are shown as the owner of all files. nil is who mounts.
	UID, GID *uint32
	// Umask are permission bits that no file is shown to have. On a Remofile 1 server, which
	// has none, nil is the umask of this process.
	Umask *uint32
	// AllowOther lets other users in, as far as the permission bits do. Who is not root needs the line
	// user_allow_other in /etc/fuse.conf for it.
	AllowOther bool
	// TempDir is the directory for the copies of open files, which are as
	// large as these. "" is $TMPDIR, or else /var/tmp.
	TempDir string
	// CacheTime is how long names, attributes and listings are kept, whatever the server tells
	// of changes. Negative: not at all. 0: as long as it tells of none, and for 1 s where
	// it does not tell of them; NextChange of the client is the mount's then.
	CacheTime time.Duration
	// Watcher is a program that calls Watch with its standard input, which detaches the mount
	// when this process dies. Mount starts it, and it ends with the mount. nil: a mount whose
	// process has died stays until it is unmounted, or another is mounted there.
	Watcher *exec.Cmd
	// SetProcessors lets the mount set how many processors Go's runtime uses (GOMAXPROCS): one as long as its requests
	// are small and one does, which makes each cheaper by a third, and else as many as there were. It is for one mount of
	// a process that does little else.
	SetProcessors bool
	// Logger gets a line for each operation (debug), for failures that are
	// the server's or the link's (warn) and for lost changes (error). nil
	// discards them.
	Logger *slog.Logger
}

const (
	// fsType is the name after "fuse." by which Unmount knows a mount of ours.
	fsType = "rmf"
	// maxWrite is the largest read or write request of the kernel, in bytes.
	maxWrite = 1 << 20
	// maxRequestBytes bounds the memory of the requests being served, of which
	// each write holds maxWrite, in bytes.
	maxRequestBytes = 64 << 20
	// maxBackground is how many requests that no program waits for the kernel
	// may have under way: reading ahead, and releases, which may upload.
	maxBackground = 64
)

// MountPoint is a local directory on which a directory of a jail is mounted.
type MountPoint struct {
	// Constant.
	path    string
	mounted mounted
	root    root
	done    chan struct{} // closed when the last request was served
}

// root is the node of the mounted directory.
type root interface {
	gofs.InodeEmbedder
	// dirty returns the paths, in the jail and sorted, of the open files with changes that the
	// server does not have.
	dirty() []string
	// saveOpen gives the server what it can have of these.
	saveOpen(ctx context.Context)
	// configure changes options for go-fuse.
	configure(*fuse.MountOptions)
	// end frees what the nodes share, when the last request was served.
	end()
}

// Mount mounts the directory dir of the client's jail ("/" is all of it) on the
// existing local directory mountpoint and returns when it answers. ctx is for the
// mounting only. The client remains the caller's, to be closed after Wait.
//
// Root mounts by itself, other users through fusermount3. What CheckMountpoint
// finds is an error of Mount too. An earlier mount there whose process has died is detached.
func Mount(ctx context.Context, client *remote.Client, dir, mountpoint string, o Options) (*MountPoint, error) {
	return mount(ctx, dir, mountpoint, o, func(s shown) (root, error) {
		if client.Protocol() < 2 {
			return newWholeRoot(ctx, client, dir, s, &o)
		}
		return newRoot(ctx, client, dir, s, &o)
	})
}

// mount mounts the root that makeRoot returns.
func mount(ctx context.Context, dir, mountpoint string, o Options, makeRoot func(shown) (root, error)) (*MountPoint, error) {
	if err := removeDead(mountpoint); err != nil {
		return nil, &os.PathError{Op: "mount", Path: mountpoint, Err: err}
	}
	mountpoint, err := checkMountpoint(mountpoint, &o)
	if err != nil {
		return nil, err
	}
	s, err := o.shown()
	if err != nil {
		return nil, err
	}
	r, err := makeRoot(s)
	if err != nil {
		return nil, err
	}
	mo := o.mountOptions(path.Clean(dir), s.log)
	r.configure(&mo.MountOptions)
	m, err := serve(r, mountpoint, mo, &o, s.log)
	if err != nil {
		return nil, &os.PathError{Op: "mount", Path: mountpoint, Err: err}
	}
	return m, nil
}

// shown returns what the mount shows.
func (o *Options) shown() (shown, error) {
	umask, err := processUmask()
	s := shown{uid: uint32(os.Getuid()), gid: uint32(os.Getgid()), umask: umask, log: o.Logger}
	if o.UID != nil {
		s.uid = *o.UID
	}
	if o.GID != nil {
		s.gid = *o.GID
	}
	if o.Umask != nil {
		s.umask, s.hidden = *o.Umask, *o.Umask
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return s, err
}

// cacheTime returns how long what the server told is kept.
func (o *Options) cacheTime() time.Duration {
	if o.CacheTime == 0 {
		return time.Second
	}
	return max(0, o.CacheTime)
}

// processUmask reads the umask without changing it, which umask(2) can't.
func processUmask() (uint32, error) {
	const key = "Umask:"
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for lines := bufio.NewScanner(bytes.NewReader(status)); lines.Scan(); {
		if value, found := bytes.CutPrefix(lines.Bytes(), []byte(key)); found {
			umask, err := strconv.ParseUint(string(bytes.TrimSpace(value)), 8, 32)
			return uint32(umask), err
		}
	}
	return 0, errors.New("/proc/self/status: no umask")
}

// mountOptions returns the options for go-fuse. Timeouts are not set: the kernel keeps
// names and attributes where an answer says so.
func (o *Options) mountOptions(dir string, log *slog.Logger) *gofs.Options {
	mo := fuse.MountOptions{
		Name:                    fsType,
		FsName:                  o.FsName,
		AllowOther:              o.AllowOther,
		MaxWrite:                maxWrite,
		MaxBackground:           maxBackground,
		MaxInflightRequestBytes: maxRequestBytes,
		DisableXAttrs:           true,
		DisableSplice:           true, // what is read comes from memory: splice costs more than it saves
		DirectMountStrict:       os.Geteuid() == 0,
		// Open tells of O_TRUNC; files that are opened to append can be mapped (Linux 6.6).
		ExtraCapabilities: fuse.CAP_ATOMIC_O_TRUNC | fuse.CAP_DIRECT_IO_ALLOW_MMAP,
		Logger:            slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	if mo.FsName == "" {
		mo.FsName = "rmf:" + dir
	}
	if o.AllowOther || os.Geteuid() != 0 {
		mo.Options = append(mo.Options, "default_permissions")
	} // else it only serves root, to whom permission bits mean nothing: the kernel need not ask for them
	if o.ReadOnly {
		mo.Options = append(mo.Options, "ro")
	}
	if o.NoExec {
		mo.Options = append(mo.Options, "noexec")
	}
	return &gofs.Options{
		MountOptions:      mo,
		Logger:            mo.Logger,
		FirstAutomaticIno: 2, // small numbers: 32-bit programs can stat the files
		RootStableAttr:    &gofs.StableAttr{Ino: 1},
	}
}

// serve mounts and answers the kernel until the mount is gone; then, or when it
// fails, it ends the root and the watcher. A failure leaves no mount.
func serve(r root, mountpoint string, mo *gofs.Options, o *Options, log *slog.Logger) (*MountPoint, error) {
	w, err := startWatcher(o.Watcher)
	if err != nil {
		r.end()
		return nil, err
	}
	var p *processors
	if o.SetProcessors {
		p = newProcessors()
	}
	end := func() {
		p.end()
		w.end()
		r.end()
	}
	file, err := attach(mountpoint, mo)
	d := newDevice(p, log)
	if err == nil {
		mo.ServerCallbacks = d
		raw := guarded{forgetNames{appendAtEnd{gofs.NewNodeFS(r, mo)}}, log}
		err = d.open(file, raw, &mo.MountOptions)
	}
	if err != nil {
		end()
		return nil, errors.Join(err, detachDead(mountpoint))
	}
	m := &MountPoint{path: mountpoint, root: r, done: make(chan struct{})}
	go func() { // ends with the mount; Wait waits for it
		defer close(m.done)
		d.serve()
		end()
	}()
	m.mounted, err = mountedOn(mountpoint)
	if err == nil {
		err = w.tell(mountpoint, m.mounted)
	}
	if err != nil {
		if detached := detach(mountpoint); detached != nil {
			return nil, errors.Join(err, detached)
		}
		m.Wait()
		return nil, err
	}
	return m, nil
}

// Wait waits until the mount is gone and all that was under way in it is done.
func (m *MountPoint) Wait() {
	<-m.done
}

// Unmount unmounts and waits until all that was under way is done. Where files or
// directories of the mount are in use, and where somebody else has detached it, it
// returns true at once: the path is free, and the mount is served until they are
// closed.
func (m *MountPoint) Unmount() (inUse bool, err error) {
	select {
	case <-m.done:
		return false, nil
	default:
	}
	on, err := mountedOn(m.path)
	switch {
	case err != nil:
	case on == m.mounted:
		inUse, err = unmount(m.path)
	default:
		inUse = true // it has no path any more
	}
	if err != nil {
		return false, &os.PathError{Op: "unmount", Path: m.path, Err: err}
	}
	if !inUse {
		m.Wait()
	}
	return inUse, nil
}

// Save gives the server what programs have written to open files so far: what nobody else sees before
// its first flush, too. Unsaved tells what could not be saved.
func (m *MountPoint) Save(ctx context.Context) { m.root.saveOpen(ctx) }

// Unsaved returns the paths, in the jail, of the open files with changes that the
// server does not have: were the process to end now, they would be lost. What was
// written to a mapping is not known before the kernel hands it over.
func (m *MountPoint) Unsaved() []string { return m.root.dirty() }

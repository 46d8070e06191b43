package main

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/remofile/remofile/fs"
	"github.com/remofile/remofile/remote"
)

// busyTime is how long a mount that was in use when its process was to end still
// serves those who use it.
const busyTime = 5 * time.Second

type mountCommand struct {
	Foreground bool     `short:"f" help:"Stay in the foreground."`
	Options    []string `short:"o" placeholder:"OPTION" help:"Options, separated by commas: see above."`
	Serve      string   `placeholder:"JAIL" help:"Mount the local directory JAIL through a server of its own, in the foreground. Needs no environment; makes JAIL and MOUNTPOINT if they are missing."`
	Source     string   `hidden:"" help:"What mount(8) knows the mount by, as the line in /etc/fstab has it."`
	Paths      []string `arg:"" name:"path" help:"[DIRECTORY] MOUNTPOINT: the remote directory (/) and the local one to mount it on."`
	connection
	daemonFlag
}

func (*mountCommand) Help() string {
	return `It returns when the mount answers. A mount in the foreground ends with Ctrl-C, any
with "rmf umount", or when its process is sent SIGTERM. The log of one in the background goes where standard error goes if
that is a file, else nowhere.

Options of -o: ro (nothing can be changed), noexec, allow_other (other users may use
the mount, as far as the permission bits let them), uid=N and gid=N (the owner that
all files show), umask=OCTAL (bits that no file shows), timeout=SECONDS (as -t, which
takes milliseconds), cache=notices (names and attributes are kept until the server
tells of a change, and for a second where it does not; the default), cache=SECONDS
(for so long, whatever it tells), cache=strict (not at all), credentials=FILE (lines
token=..., public_key=..., plain), and those that only mean something to mount(8).

Examples:

	rmf mount /music ~/music
	rmf mount -o ro,cache=10 ~/music
	rmf mount --serve ./jail ./mnt`
}

func (c *mountCommand) Run(ctx context.Context, out *output, command *kong.Context) error {
	parsed, err := parseMountOptions(c.Options)
	if err == nil {
		err = parsed.apply(c, out)
	}
	if err != nil {
		return err
	}
	o := parsed.mount
	o.SetProcessors = true
	o.Logger = newLogger(out.stderr, slog.LevelWarn, false)
	if c.Serve != "" {
		if len(c.Paths) != 1 {
			return usage("--serve takes a JAIL and a MOUNTPOINT", "rmf mount --serve ./jail ./mnt is an example")
		}
		return serveJail(ctx, out, c.Serve, c.Paths[0], o)
	}
	dial, err := c.check(o)
	if err != nil {
		return err
	}
	if !c.Detached {
		c.warn(out)
		if !c.Foreground {
			return detach(ctx, command)
		}
	}
	m := mounting{out: out, dial: dial, directory: c.Paths[0], mountpoint: c.Paths[1], options: o}
	m.options.FsName = cmp.Or(c.Source, dial.Address+":"+m.directory)
	return m.run(ctx, func() error {
		if c.Detached {
			return detached()
		}
		m.announce(m.options.FsName)
		return nil
	})
}

// check checks everything but --serve, and completes Paths: the remote directory
// and the absolute mount point.
func (c *mountCommand) check(o fs.Options) (remote.Options, error) {
	if len(c.Paths) == 1 {
		c.Paths = []string{"/", c.Paths[0]}
	}
	if len(c.Paths) != 2 {
		return remote.Options{}, usage("mount takes a DIRECTORY and a MOUNTPOINT", "")
	}
	if err := checkRemote(c.Paths[0]); err != nil {
		return remote.Options{}, err
	}
	dial, err := c.options()
	if err != nil {
		return remote.Options{}, err
	}
	dial.FailFast = true
	if err := checkMountpoint(c.Paths[1], o); err != nil {
		return remote.Options{}, err
	}
	return dial, makeAbsolute(&c.Paths[1])
}

// checkMountpoint refuses what can't be mounted on. What is no directory is wrong
// usage.
func checkMountpoint(p string, o fs.Options) error {
	err := fs.CheckMountpoint(p, o)
	var number syscall.Errno
	switch {
	case errors.Is(err, os.ErrNotExist):
		return usage(describe(err).line, "mkdir makes the directory to mount on")
	case errors.Is(err, fs.ErrMounted):
		return failed(describe(err).line, "rmf umount "+p+" unmounts it")
	case errors.As(err, &number):
		return asUsage(err)
	default:
		return err
	}
}

// mounting is a mount that is going to be.
type mounting struct {
	out        *output
	dial       remote.Options
	directory  string // remote
	mountpoint string
	options    fs.Options
}

// announce says, in the foreground, that the mount answers.
func (m *mounting) announce(source string) {
	m.out.notef("mounted %s on %s, Ctrl-C unmounts", source, m.mountpoint)
}

// run mounts, calls ready once the mount answers, and returns when it has been
// unmounted, which the end of ctx causes too.
func (m *mounting) run(ctx context.Context, ready func() error) error {
	saveMemory()
	limitMemory()
	// Nothing that happens to the terminal may end this process before the
	// mount.
	signal.Ignore(syscall.SIGPIPE)
	defer holdSignals()()

	// The client has no log: all that it would warn of is a weak token, which has
	// been told in a line of its own, before the process went to the background.
	client, err := connect(ctx, m.dial)
	if err != nil {
		return err
	}
	defer client.Close()
	if m.options.Watcher, err = self(watchName); err != nil {
		return err
	}
	mounted, err := fs.Mount(ctx, client, m.directory, m.mountpoint, m.options)
	if err != nil {
		return err
	}
	gone := make(chan struct{})
	go func() { // ends with the mount
		mounted.Wait()
		close(gone)
	}()
	if err = ready(); err == nil {
		select {
		case <-gone:
		case <-ctx.Done():
		}
	}
	inUse, unmounted := mounted.Unmount()
	if inUse {
		m.out.notef("rmf: %s: in use; it is detached, and ends in %v", m.mountpoint, busyTime)
		awaitUsers(gone)
		mounted.Save(context.WithoutCancel(ctx))
	}
	return errors.Join(err, unmounted, lost(mounted.Unsaved()))
}

// awaitUsers waits for the end of a detached mount, until busyTime is over or
// another signal comes.
func awaitUsers(gone <-chan struct{}) {
	hurry, stop := signal.NotifyContext(context.Background(), stopSignals()...)
	defer stop()
	select {
	case <-gone:
	case <-hurry.Done():
	case <-time.After(busyTime):
	}
}

// lost returns the failures for files whose changes end with the process.
func lost(paths []string) error {
	var all []error
	for _, p := range paths {
		all = append(all, failed(p+": its changes are lost: it was still open", ""))
	}
	return errors.Join(all...)
}

package integration

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/remofile/remofile/remote"
)

// patience is how long a script waits for what must come.
const patience = 30 * time.Second

// TestScripts runs testdata/script/*.txt, which show what each command of rmf does
// and how it exits. Besides the commands of testscript they have:
//
//	exits STATUS PROGRAM ARG...
//	        runs a program, which must exit with that status
//	begin NAME PATTERN PROGRAM ARG...
//	        starts a program and waits for PATTERN on its standard error
//	finish NAME SIGNAL STATUS
//	        sends it INT, TERM, KILL or nothing (-) and waits for its end with
//	        that status, -1 for one by the signal; stdout and stderr then hold
//	        its output
//	serve ARG...
//	        begins "rmf run --address 127.0.0.1 ARG... 0" as "server" and sets
//	        REMOFILE_HOSTNAME, REMOFILE_PORT and, where it had to make one,
//	        REMOFILE_TOKEN
//	hold [PATH]
//	        connects to the server and stays, until the script ends; an upload to
//	        PATH is under way then
//	mute    sets REMOFILE_HOSTNAME and REMOFILE_PORT to a server that never answers
//	null    the same to one that offers no encryption, and hears the rest in silence
func TestScripts(t *testing.T) {
	bin := buildRmf(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
			e.Setenv("TZ", "UTC")
			e.Values[stageKey{}] = &stage{bin: bin, programs: make(map[string]*program)}
			e.Defer(func() { leaveNothing(bin, e.WorkDir) })
			return nil
		},
		Condition: condition,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":  cmdExits,
			"begin":  cmdBegin,
			"finish": cmdFinish,
			"serve":  cmdServe,
			"hold":   cmdHold,
			"mute":   cmdMute,
			"null":   cmdNull,
		},
	})
}

// condition decides [fuse], [ipv6] and [root]. With CI=true, there must be FUSE.
func condition(name string) (bool, error) {
	switch name {
	case "fuse":
		err := fuseUsable()
		if os.Getenv("CI") == "true" {
			return true, err
		}
		return err == nil, nil
	case "root":
		return os.Geteuid() == 0, nil
	case "ipv6":
		l, err := net.Listen("tcp", "[::1]:0")
		if err != nil {
			return false, nil
		}
		return true, l.Close()
	default:
		return false, errors.New("unknown condition")
	}
}

// buildRmf builds the command and returns the directory that it is in.
func buildRmf(t testing.TB) string {
	t.Helper()
	bin := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", bin, "../cmd/rmf").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return bin
}

// fuseUsable returns why nothing can be mounted here, or nil.
func fuseUsable() error {
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	f.Close()
	if os.Geteuid() != 0 {
		_, err = exec.LookPath("fusermount3")
	}
	return err
}

// leaveNothing ends what a failed script left in its directory: mounts, and
// servers with a pidfile.
func leaveNothing(bin, dir string) {
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(mounts)) {
		if fields := strings.Fields(line); len(fields) > 4 && strings.HasPrefix(fields[4], dir+"/") {
			syscall.Unmount(fields[4], syscall.MNT_DETACH)
		}
	}
	pidfiles, _ := filepath.Glob(filepath.Join(dir, "*.pid"))
	for _, name := range pidfiles {
		exec.Command(filepath.Join(bin, "rmf"), "stop", "--pidfile", name).Run()
	}
}

// stage is what the commands of one script share.
type stage struct {
	bin      string // where rmf is
	programs map[string]*program
}

type stageKey struct{} // of the stage in testscript.Env.Values

// program is one that a script has begun.
type program struct {
	cmd            *exec.Cmd
	stdout, stderr lockedBuffer
	ended          chan struct{} // closed after cmd.Wait
}

func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS PROGRAM ARG...")
	}
	err := ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	status := 0
	if errors.As(err, &exit) {
		status = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(status) != args[0] {
		ts.Fatalf("exit status %d, want %s", status, args[0])
	}
}

func cmdBegin(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: begin NAME PATTERN PROGRAM ARG...")
	}
	begin(ts, args[0], args[1], args[2:]...)
}

// begin starts a program and returns it when a line of its standard error matches.
func begin(ts *testscript.TestScript, name, pattern string, args ...string) *program {
	s := ts.Value(stageKey{}).(*stage)
	p := &program{cmd: exec.Command(args[0], args[1:]...), ended: make(chan struct{})}
	if args[0] == "rmf" {
		p.cmd = exec.Command(filepath.Join(s.bin, "rmf"), args[1:]...)
	}
	p.cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "TZ", "REMOFILE_HOSTNAME", "REMOFILE_PORT", "REMOFILE_TOKEN",
		"REMOFILE_PUBLIC_KEY", "REMOFILE_PRIVATE_KEY", "REMOFILE_PLAIN"} {
		p.cmd.Env = append(p.cmd.Env, name+"="+ts.Getenv(name))
	}
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	ts.Check(p.cmd.Start())
	go func() {
		p.cmd.Wait() // finish reads the status
		close(p.ended)
	}()
	ts.Defer(func() {
		p.cmd.Process.Kill()
		<-p.ended
	})
	s.programs[name] = p
	p.await(ts, &p.stderr, pattern)
	return p
}

// await waits until a line of what the program writes matches.
func (p *program) await(ts *testscript.TestScript, written *lockedBuffer, pattern string) {
	wanted := regexp.MustCompile("(?m)" + pattern)
	for deadline := time.Now().Add(patience); !wanted.MatchString(written.String()); {
		select {
		case <-p.ended:
			ts.Fatalf("%s has ended: %s", p.cmd, p.stderr.String())
		case <-time.After(5 * time.Millisecond):
			if time.Now().After(deadline) {
				ts.Fatalf("%s says in %v only: %s", p.cmd, patience, written.String())
			}
		}
	}
}

func cmdFinish(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: finish NAME SIGNAL STATUS")
	}
	p := ts.Value(stageKey{}).(*stage).programs[args[0]]
	if p == nil {
		ts.Fatalf("%s has not been begun", args[0])
	}
	switch args[1] {
	case "INT":
		ts.Check(p.cmd.Process.Signal(syscall.SIGINT))
	case "TERM":
		ts.Check(p.cmd.Process.Signal(syscall.SIGTERM))
	case "KILL":
		ts.Check(p.cmd.Process.Kill())
	case "-":
	default:
		ts.Fatalf("unknown signal %s", args[1])
	}
	select {
	case <-p.ended:
	case <-time.After(patience):
		ts.Fatalf("%s has not ended in %v: %s", args[0], patience, p.stderr.String())
	}
	io.WriteString(ts.Stdout(), p.stdout.String())
	io.WriteString(ts.Stderr(), p.stderr.String())
	if status := p.cmd.ProcessState.ExitCode(); strconv.Itoa(status) != args[2] {
		ts.Fatalf("exit status %d, want %s", status, args[2])
	}
}

func cmdServe(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: serve ARG...")
	}
	args = append(append([]string{"rmf", "run", "--address", "127.0.0.1"}, args...), "0")
	p := begin(ts, "server", "^listening on ", args...)
	address, _, _ := strings.Cut(strings.TrimPrefix(p.stderr.String(), "listening on "), "\n")
	setServer(ts, address)
	if ts.Getenv("REMOFILE_TOKEN") == "" {
		p.await(ts, &p.stdout, "^.+\n")
		ts.Setenv("REMOFILE_TOKEN", strings.TrimSpace(p.stdout.String()))
	}
}

// setServer sets the variables of a client of the server at address.
func setServer(ts *testscript.TestScript, address string) {
	host, port, err := net.SplitHostPort(address)
	ts.Check(err)
	ts.Setenv("REMOFILE_HOSTNAME", host)
	ts.Setenv("REMOFILE_PORT", port)
}

func cmdHold(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 1 {
		ts.Fatalf("usage: hold [PATH]")
	}
	c, err := remote.Dial(context.Background(), remote.Options{
		Address: net.JoinHostPort(ts.Getenv("REMOFILE_HOSTNAME"), ts.Getenv("REMOFILE_PORT")),
		Token:   ts.Getenv("REMOFILE_TOKEN"),
	})
	ts.Check(err)
	ts.Defer(func() { c.Close() })
	if len(args) == 1 {
		holdUpload(ts, c, args[0])
	}
}

// holdUpload returns when the server has a part of the file; the rest does not come.
func holdUpload(ts *testscript.TestScript, c *remote.Client, p string) {
	const part, size = 1 << 20, 1 << 30
	rest, stop := io.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.Upload(context.Background(), p, io.MultiReader(io.LimitReader(zeros{}, part), rest), size, remote.TransferOptions{})
	}()
	ts.Defer(func() {
		stop.Close()
		<-ended
	})
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		s, err := c.Status(context.Background())
		ts.Check(err)
		if s.Staged > 0 {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("no upload is under way after %v", patience)
		}
	}
}

func cmdMute(ts *testscript.TestScript, neg bool, args []string) { listenForScript(ts) }

func cmdNull(ts *testscript.TestScript, neg bool, args []string) {
	l := listenForScript(ts)
	go func() { // ends with the listener, which ends with the script
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			defer nc.Close()
			greeting := make([]byte, 64) // RFC 23/ZMTP
			copy(greeting, "\xff\x00\x00\x00\x00\x00\x00\x00\x00\x7f\x03\x00NULL")
			nc.Write(greeting)
		}
	}()
}

// listenForScript sets the variables of a client of the returned listener.
func listenForScript(ts *testscript.TestScript) net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	setServer(ts, l.Addr().String())
	ts.Setenv("REMOFILE_TOKEN", token)
	return l
}

// lockedBuffer is a buffer that a process fills while a test reads it.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

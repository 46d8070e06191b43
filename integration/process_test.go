package integration

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/remofile/remofile/protocol/zmtp"
	"github.com/remofile/remofile/protocol/zmtp/curve"
	"github.com/remofile/remofile/remote"
	"github.com/remofile/remofile/server"
)

// serverRole names the variable that makes the test binary a server, of the jail that
// it holds.
const serverRole = "REMOFILE_TEST_SERVER"

// processGrace is how long the server process keeps what a peer that hung up had open: not
// for as long as a test waits for its recovery.
const processGrace = time.Second

// beServer is the role of a server process: it serves a jail until its standard input
// ends, writes its address to standard output, and answers each line of the input with
// its usage. Standard error gets what a server should never have to say.
func beServer(jail string) error {
	debug.SetGCPercent(50) // as rmf run does
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	s, err := server.New(server.Options{Jail: jail, Token: token, Logger: logger, Grace: processGrace})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	fmt.Println(l.Addr())
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		u, err := ownUsage()
		if err != nil {
			return err
		}
		fmt.Println(u.goroutines, u.descriptors, u.memory, u.peak)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err = s.Shutdown(ctx)
	if ended := <-served; !errors.Is(ended, server.ErrClosed) {
		err = errors.Join(err, ended)
	}
	return err
}

// usage is what a process holds.
type usage struct {
	goroutines, descriptors int
	memory, peak            int64 // resident bytes, now and at most
}

func ownUsage() (u usage, err error) {
	u.goroutines = runtime.NumGoroutine()
	descriptors, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return u, err
	}
	u.descriptors = len(descriptors)
	if u.memory, err = memoryOf(os.Getpid(), "VmRSS"); err != nil {
		return u, err
	}
	u.peak, err = peakMemory(os.Getpid())
	return u, err
}

// serverProcess is a server in a process of its own. Its jail is deep inside root, where
// nothing else may change.
type serverProcess struct {
	t             *testing.T
	root, jail    string
	address       string
	key           curve.Key // the public one, derived from the token
	cmd           *exec.Cmd
	stdin         io.WriteCloser
	stdout        *bufio.Scanner
	stderr        lockedBuffer
	sources       atomic.Uint32 // the last one that newSource returned
	before        usage
	outsideBefore map[string]string
}

// startServerProcess starts a server that must end well with the test, without having
// logged an error.
func startServerProcess(t *testing.T) *serverProcess {
	t.Helper()
	private, err := zmtp.TokenKey(token)
	if err != nil {
		t.Fatal(err)
	}
	key, err := private.Public()
	if err != nil {
		t.Fatal(err)
	}
	p := &serverProcess{t: t, root: t.TempDir(), key: key}
	p.jail = filepath.Join(p.root, "deep", "down", "jail")
	run(t, "mkdir", "-p", p.jail, filepath.Join(p.root, "cwd"))
	write(t, filepath.Join(p.root, "deep", "down", "beside"), "beside the jail")
	write(t, filepath.Join(p.root, "above"), "above it")
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd = exec.Command(program)
	p.cmd.Env = append(os.Environ(), serverRole+"="+p.jail)
	p.cmd.Dir = filepath.Join(p.root, "cwd")
	p.cmd.Stderr = &p.stderr
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdout = bufio.NewScanner(stdout)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.end)
	p.address = p.answer()
	p.before = p.usage()
	p.outsideBefore = p.outside()
	return p
}

// end ends the server as its standard input tells it to, or kills it where it doesn't.
func (p *serverProcess) end() {
	p.stdin.Close()
	killing := time.AfterFunc(2*patience, func() { p.cmd.Process.Kill() })
	err := p.cmd.Wait()
	killing.Stop()
	if said := p.stderr.String(); err != nil || said != "" {
		p.t.Errorf("the server ended with %v and said: %.4000s", err, said)
	}
}

// answer returns the next line that the server writes. One that has got stuck is killed.
func (p *serverProcess) answer() string {
	p.t.Helper()
	killing := time.AfterFunc(patience, func() { p.cmd.Process.Kill() })
	defer killing.Stop()
	if !p.stdout.Scan() {
		p.t.Fatalf("the server does not answer; it said: %.4000s", p.stderr.String())
	}
	return p.stdout.Text()
}

// usage asks the server, which must be the process that was started.
func (p *serverProcess) usage() (u usage) {
	p.t.Helper()
	io.WriteString(p.stdin, "usage\n") // where that fails, there is no answer
	line := p.answer()
	if _, err := fmt.Sscan(line, &u.goroutines, &u.descriptors, &u.memory, &u.peak); err != nil {
		p.t.Fatalf("the server answers %q: %v", line, err)
	}
	return u
}

// underRaceDetector reports whether this program, and so the server, was built with it.
func underRaceDetector() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// allowedGrowth returns how many bytes of memory more the server may use for whatever is
// done to it. The race detector takes five to ten times as much of all
// (go.dev/doc/articles/race_detector).
func allowedGrowth() int64 {
	const growth = 64 << 20
	if underRaceDetector() {
		return 10 * growth
	}
	return growth
}

// mustRecover fails the test unless the server gets back to the goroutines and the
// descriptors that it had in the beginning, has never taken much more memory, and has
// changed nothing outside its jail.
func (p *serverProcess) mustRecover() {
	p.t.Helper()
	u := p.usage()
	for deadline := time.Now().Add(patience); u.goroutines > p.before.goroutines || u.descriptors > p.before.descriptors; u = p.usage() {
		if time.Now().After(deadline) {
			p.t.Errorf("after %v the server still has %d goroutines and %d descriptors, before it had %d and %d",
				patience, u.goroutines, u.descriptors, p.before.goroutines, p.before.descriptors)
			p.logDescriptors()
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	grown := u.peak - p.before.memory
	p.t.Logf("memory: %d KiB before, %d KiB more at most, %d KiB more at the end", p.before.memory>>10, grown>>10,
		(u.memory-p.before.memory)>>10)
	if grown >= allowedGrowth() {
		p.t.Errorf("the server's memory grew by %d MiB, from %d, want less than %d", grown>>20, p.before.memory>>20,
			allowedGrowth()>>20)
	}
	sameFiles(p.t, "outside the jail", p.outside(), p.outsideBefore)
}

// logDescriptors tells what the server has open.
func (p *serverProcess) logDescriptors() {
	p.t.Helper()
	open := fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid)
	entries, err := os.ReadDir(open)
	if err != nil {
		p.t.Log(err)
	}
	for _, e := range entries {
		target, err := os.Readlink(filepath.Join(open, e.Name()))
		p.t.Log(e.Name(), target, err)
	}
}

// outside describes all files of root but those in the jail.
func (p *serverProcess) outside() map[string]string { return describeFiles(p.t, p.root, p.jail) }

// describeFiles returns kind, size, time and content of each file in dir, by its path;
// what is in skip is left out.
func describeFiles(t *testing.T, dir, skip string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if path == skip {
			return fs.SkipDir
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		var content []byte
		if info.Mode().IsRegular() {
			if content, err = os.ReadFile(path); err != nil {
				return err
			}
		}
		files[path] = fmt.Sprint(info.Mode(), info.Size(), info.ModTime(), string(content))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func sameFiles(t *testing.T, where string, got, want map[string]string) {
	t.Helper()
	for path, description := range got {
		if want[path] != description {
			t.Errorf("%s, %s is %.100q, it was %.100q", where, path, description, want[path])
		}
	}
	for path := range want {
		if _, there := got[path]; !there {
			t.Errorf("%s, %s has gone", where, path)
		}
	}
}

// newSource returns an address of the loopback network that no other peer has: a source
// is made to wait for what others from there did.
func (p *serverProcess) newSource() net.IP {
	n := p.sources.Add(1)
	return net.IPv4(127, byte(1+n>>16), byte(n>>8), byte(n))
}

// connect opens a connection from an address of the loopback network.
func (p *serverProcess) connect(source net.IP) (*net.TCPConn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: source}, Timeout: patience}
	nc, err := d.Dial("tcp", p.address)
	if err != nil {
		return nil, err
	}
	return nc.(*net.TCPConn), nil
}

// startBystander has a client that knows the token go on listing and transferring, in
// one session and in new ones, until stop. It must never fail.
func (p *serverProcess) startBystander() (stop func()) {
	p.t.Helper()
	options := remote.Options{Address: p.address, Token: token, Timeout: patience}
	lasting, err := remote.Dial(p.t.Context(), options)
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(p.t.Context())
	ended := make(chan struct{})
	rounds := 0
	go func() { // stop ends it and waits for it
		defer close(ended)
		for ; ctx.Err() == nil; rounds++ {
			options.Plain = rounds%2 == 0
			err := errors.Join(useServer(context.Background(), lasting, bystanderFile, bystanderSize),
				dialAndUse(context.Background(), options, bystanderFile, bystanderSize))
			if err != nil {
				p.t.Errorf("a client that knows the token fails in round %d: %v", rounds+1, err)
				return
			}
		}
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		<-ended
		lasting.Close()
		p.t.Logf("the client that knows the token did %d rounds", rounds)
	})
	p.t.Cleanup(stop)
	return stop
}

// What the bystander transfers; nobody else has to do with it.
const (
	bystanderFile = "/transferred by the bystander"
	bystanderSize = 50_000
)

func dialAndUse(ctx context.Context, o remote.Options, name string, size int) error {
	c, err := remote.Dial(ctx, o)
	if err != nil {
		return err
	}
	defer c.Close()
	return useServer(ctx, c, name, size)
}

// useServer uploads a file of size bytes, lists, downloads and removes it, and checks what
// comes of that.
func useServer(ctx context.Context, c *remote.Client, name string, size int) error {
	content := bytes.Repeat([]byte("0123456789"), size/10)
	if err := c.Upload(ctx, name, bytes.NewReader(content), int64(len(content)), remote.TransferOptions{}); err != nil {
		return err
	}
	entries, err := c.List(ctx, "/")
	if err != nil {
		return err
	}
	listed := false
	for _, e := range entries {
		listed = listed || "/"+e.Name == name && e.Size == int64(len(content))
	}
	var got bytes.Buffer
	if _, err := c.Download(ctx, name, &got, remote.TransferOptions{}); err != nil {
		return err
	}
	if !listed || !bytes.Equal(got.Bytes(), content) {
		return fmt.Errorf("listed: %v; %d bytes came back, or other ones", listed, got.Len())
	}
	return c.Remove(ctx, name)
}

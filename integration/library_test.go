package integration

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/remofile/remofile/remote"
	"github.com/remofile/remofile/server"
)

// startServer serves a new jail until the end of the test.
func startServer(t *testing.T, o server.Options) (jail, address string) {
	t.Helper()
	o.Jail = t.TempDir()
	address, stop := serve(t, o)
	t.Cleanup(stop)
	return o.Jail, address
}

// serve serves a jail until stop.
func serve(t *testing.T, o server.Options) (address string, stop func()) {
	t.Helper()
	o.Token = cmp.Or(o.Token, token)
	s, err := server.New(o)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	return l.Addr().String(), func() {
		s.Shutdown(context.Background())
		<-served
	}
}

// client returns a client of a new server and the jail.
func client(t *testing.T) (*remote.Client, string) {
	t.Helper()
	jail, address := startServer(t, server.Options{})
	return dial(t, remote.Options{Address: address}), jail
}

func write(t testing.TB, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o666); err != nil {
		t.Fatal(err)
	}
}

// holds fails the test unless the file has that content.
func holds(t *testing.T, name, want string) {
	t.Helper()
	got, err := os.ReadFile(name)
	if err != nil || string(got) != want {
		t.Errorf("%s holds %.40q, error %v, want %.40q", filepath.Base(name), got, err, want)
	}
}

// settle waits until a directory has no hidden one of the server: that stays for a moment after an upload.
func settle(t *testing.T, dir string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		hidden, err := filepath.Glob(filepath.Join(dir, stagingPattern))
		if err != nil {
			t.Fatal(err)
		}
		if len(hidden) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%q was left", hidden)
		}
	}
}

// hasOnly fails the test unless the directory has only the named files.
func hasOnly(t *testing.T, dir string, names ...string) {
	t.Helper()
	settle(t, dir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(names, " ") {
		t.Errorf("%s holds %q, want %q", filepath.Base(dir), got, names)
	}
}

func TestTreesThroughTheLibrary(t *testing.T) {
	c, jail := client(t)
	ctx := t.Context()
	source, back := filepath.Join(t.TempDir(), "tree"), t.TempDir()
	makeTree(t, source, 60, 1<<20)
	upload := func(policy remote.Conflict) error {
		_, err := c.UploadFiles(ctx, []string{source}, "/", remote.TreeOptions{Recursive: true, Conflict: policy})
		return err
	}
	download := func(policy remote.Conflict) error {
		_, err := c.DownloadFiles(ctx, []string{"/tree"}, back, remote.TreeOptions{Recursive: true, Conflict: policy})
		return err
	}
	for n, transfer := range []func(remote.Conflict) error{upload, download} {
		if err := transfer(remote.ConflictFail); err != nil {
			t.Fatal(err)
		}
		run(t, "diff", "-r", source, filepath.Join([]string{jail, back}[n], "tree"))
		if err := transfer(remote.ConflictFail); !errors.Is(err, fs.ErrExist) {
			t.Errorf("to an existing name: error %v", err)
		}
		if err := transfer(remote.ConflictReplace); err != nil {
			t.Errorf("replacing: %v", err)
		}
		run(t, "diff", "-r", source, filepath.Join([]string{jail, back}[n], "tree"))
	}
	if err := c.RemoveAll(ctx, "/tree"); err != nil {
		t.Fatal(err)
	}
	hasOnly(t, jail)
}

// TestOneFailureDoesNotStopATree has two names that the server doesn't take and a FIFO
// among good files.
func TestOneFailureDoesNotStopATree(t *testing.T) {
	jail, address := startServer(t, server.Options{PortableNames: true})
	c := dial(t, remote.Options{Address: address})
	source := filepath.Join(t.TempDir(), "tree")
	run(t, "mkdir", source)
	for _, name := range []string{"a", "b:c", "d", "e?", "f"} {
		write(t, filepath.Join(source, name), name)
	}
	run(t, "mkfifo", filepath.Join(source, "fifo"))
	_, err := c.UploadFiles(t.Context(), []string{source}, "/", remote.TreeOptions{Recursive: true})
	if !errors.Is(err, remote.InvalidName) || !errors.Is(err, remote.NotAFile) {
		t.Errorf("error %v", err)
	}
	if n := strings.Count(err.Error(), "\n") + 1; n != 3 {
		t.Errorf("%d failures are told, want 3: %v", n, err)
	}
	hasOnly(t, filepath.Join(jail, "tree"), "a", "d", "f")
}

func TestReplaceKeepsWhatItPromises(t *testing.T) {
	c, jail := client(t)
	ctx := t.Context()
	upload := func(content string, replace bool) error {
		return c.Upload(ctx, "/f", strings.NewReader(content), int64(len(content)), remote.TransferOptions{Replace: replace})
	}
	for _, step := range []struct {
		content string
		replace bool
		want    error
	}{{"new", true, nil}, {"second", false, fs.ErrExist}, {"second", true, nil}, {"", true, nil}, {"", false, fs.ErrExist}, {"third", true, nil}} {
		if err := upload(step.content, step.replace); !errors.Is(err, step.want) {
			t.Errorf("%q, replacing %v: error %v, want %v", step.content, step.replace, err, step.want)
		} else if err == nil {
			holds(t, filepath.Join(jail, "f"), step.content)
		}
	}
	hasOnly(t, jail, "f")
}

// TestAChangedSourceIsNotCommitted changes the file while it is sent.
func TestAChangedSourceIsNotCommitted(t *testing.T) {
	c, jail := client(t)
	for name, change := range map[string]func(string) error{
		"grows":   func(f string) error { return os.WriteFile(f, make([]byte, 3<<20), 0o666) },
		"shrinks": func(f string) error { return os.Truncate(f, 10) },
	} {
		source := filepath.Join(t.TempDir(), "source")
		write(t, source, strings.Repeat("x", 2<<20))
		o := remote.TransferOptions{Progress: func(_ []byte, remaining, size int64, _ string) bool {
			return remaining != size || change(source) == nil
		}}
		if err := c.UploadFile(t.Context(), source, "/f", o); !errors.Is(err, remote.Changed) {
			t.Errorf("%s: error %v, want %v", name, err, remote.Changed)
		}
		hasOnly(t, jail)
	}
}

// TestCancelledTransfersLeaveNothing cancels in the middle and then uses the names.
func TestCancelledTransfersLeaveNothing(t *testing.T) {
	c, jail := client(t)
	ctx := t.Context()
	half := remote.TransferOptions{ChunkSize: 64 << 10, Progress: func(_ []byte, remaining, size int64, name string) bool {
		if name != "f" {
			t.Errorf("the name is %q", name)
		}
		return remaining > size/2
	}}
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	if err := c.Upload(ctx, "/f", bytes.NewReader(content), int64(len(content)), half); !errors.Is(err, remote.Cancelled) {
		t.Errorf("upload: error %v", err)
	}
	hasOnly(t, jail)
	if err := c.Upload(ctx, "/f", bytes.NewReader(content), int64(len(content)), remote.TransferOptions{}); err != nil {
		t.Fatal(err)
	}
	local := t.TempDir()
	if err := c.DownloadFile(ctx, "/f", filepath.Join(local, "f"), half); !errors.Is(err, remote.Cancelled) {
		t.Errorf("download: error %v", err)
	}
	hasOnly(t, local)
	if err := c.DownloadFile(ctx, "/f", filepath.Join(local, "f"), remote.TransferOptions{}); err != nil {
		t.Fatal(err)
	}
	holds(t, filepath.Join(local, "f"), string(content))
	if err := c.DownloadFile(ctx, "/f", filepath.Join(local, "f"), remote.TransferOptions{}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("to an existing file: error %v", err)
	}
	hasOnly(t, local, "f")
}

// TestRemoveAllDoesNotFollowLinks has a link to a directory with a file in the
// tree that is removed.
func TestRemoveAllDoesNotFollowLinks(t *testing.T) {
	c, jail := client(t)
	run(t, "mkdir", filepath.Join(jail, "kept"), filepath.Join(jail, "tree"))
	write(t, filepath.Join(jail, "kept", "f"), "precious")
	run(t, "ln", "-s", "../kept", filepath.Join(jail, "tree", "link"))
	if err := c.RemoveAll(t.Context(), "/tree"); err != nil {
		t.Fatal(err)
	}
	holds(t, filepath.Join(jail, "kept", "f"), "precious")
	hasOnly(t, jail, "kept")
}

// TestDownloadsStayInTheirDestination merges into a directory in which a link
// leads elsewhere.
func TestDownloadsStayInTheirDestination(t *testing.T) {
	c, jail := client(t)
	run(t, "mkdir", "-p", filepath.Join(jail, "tree", "sub"))
	write(t, filepath.Join(jail, "tree", "sub", "f"), "from the server")
	local, elsewhere := t.TempDir(), t.TempDir()
	run(t, "mkdir", filepath.Join(local, "tree"))
	if err := os.Symlink(elsewhere, filepath.Join(local, "tree", "sub")); err != nil {
		t.Fatal(err)
	}
	_, err := c.DownloadFiles(t.Context(), []string{"/tree"}, local, remote.TreeOptions{Recursive: true, Conflict: remote.ConflictReplace})
	if !errors.Is(err, remote.NotDirectory) {
		t.Errorf("error %v, want %v", err, remote.NotDirectory)
	}
	hasOnly(t, elsewhere)
}

// TestExclusiveServersChangeHands has one client after the other, each as soon as
// the one before has gone.
func TestExclusiveServersChangeHands(t *testing.T) {
	_, address := startServer(t, server.Options{Exclusive: true})
	for range 50 {
		c, err := remote.Dial(t.Context(), remote.Options{Address: address, Token: token})
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
}

// TestFailuresOfTheServerHaveTheirCodes is about those that travel as text.
func TestFailuresOfTheServerHaveTheirCodes(t *testing.T) {
	_, address := startServer(t, server.Options{ReadOnly: true})
	c := dial(t, remote.Options{Address: address})
	if err := c.CreateFile(t.Context(), "/f"); !errors.Is(err, remote.ReadOnly) {
		t.Errorf("error %v, want %v", err, remote.ReadOnly)
	}
}

// TestUploadsWhereOnlyASubdirectoryIsWritable serves a jail as a user who owns one
// directory in it.
func TestUploadsWhereOnlyASubdirectoryIsWritable(t *testing.T) {
	if os.Geteuid() != 0 {
		lacking(t, "only root can run a server as somebody else")
	}
	const nobody = 65534
	dir, err := os.MkdirTemp("", "remofile") // t.TempDir is closed to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	jail := filepath.Join(dir, "jail")
	run(t, "mkdir", "-p", filepath.Join(jail, "incoming"))
	run(t, "cp", filepath.Join(buildRmf(t), "rmf"), dir)
	run(t, "chmod", "0755", dir, jail)
	run(t, "chown", "65534", filepath.Join(jail, "incoming"))

	cmd := exec.Command(filepath.Join(dir, "rmf"), "run", "--address", "127.0.0.1", jail, "0", token)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	cmd.Dir = dir
	c := dial(t, remote.Options{Address: startListening(t, cmd)})
	if err := c.Upload(t.Context(), "/incoming/f", strings.NewReader("content"), 7, remote.TransferOptions{}); err != nil {
		t.Fatal(err)
	}
	holds(t, filepath.Join(jail, "incoming", "f"), "content")
	hasOnly(t, filepath.Join(jail, "incoming"), "f")
	if err := c.Upload(t.Context(), "/f", strings.NewReader("content"), 7, remote.TransferOptions{}); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("beside it: error %v, want %v", err, fs.ErrPermission)
	}
}

// TestChunkSizes: the server's bounds on chunks are those of Remofile 1.
func TestChunkSizes(t *testing.T) {
	jail, address := startServer(t, server.Options{MinChunkSize: 100, MaxChunkSize: 5000})
	c := dial(t, remote.Options{Address: address})
	content := strings.Repeat("0123456789", 3000)
	for i, test := range []struct {
		chunkSize int
		largest   int // bytes of a chunk; 0 is what fits the link
		want      error
	}{
		{0, 0, nil}, {99, 99, nil}, {5000, 5000, nil}, {2 << 20, 30_000, nil},
		{-1, 0, remote.BadChunkSize}, {1 << 30, 0, remote.BadChunkSize},
	} {
		largest := 0
		o := remote.TransferOptions{ChunkSize: test.chunkSize, Progress: func(chunk []byte, _, _ int64, _ string) bool {
			largest = max(largest, len(chunk))
			return true
		}}
		name := string(rune('a' + i))
		err := c.Upload(t.Context(), "/"+name, strings.NewReader(content), int64(len(content)), o)
		if !errors.Is(err, test.want) {
			t.Errorf("chunks of %d: error %v, want %v", test.chunkSize, err, test.want)
		}
		if err != nil {
			continue
		}
		holds(t, filepath.Join(jail, name), content)
		if test.largest != 0 && largest != test.largest {
			t.Errorf("chunks of %d: the largest had %d bytes, want %d", test.chunkSize, largest, test.largest)
		}
	}
}

package integration

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/remofile/remofile/remote"
	"github.com/remofile/remofile/server"
)

const token = "qRkVWJcFRqi7rsNMbagaDd"

// findPython returns a Python that has pyzmq, argon2-cffi and cbor2, or "".
func findPython() string {
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(name, "-c", "import zmq, argon2, cbor2").Run() == nil {
			return name
		}
	}
	return ""
}

// python is findPython for a test that can't do without.
func python(t testing.TB) string {
	t.Helper()
	name := findPython()
	if name == "" {
		lacking(t, "no python3 with the modules zmq, argon2 and cbor2 (Debian: python3-zmq, python3-argon2, python3-cbor2)")
	}
	return name
}

// lacking skips a test that needs what this machine does not have. With CI=true
// it fails: there everything must be there.
func lacking(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// startPythonServer serves dir as the original implementation does and returns
// its address.
func startPythonServer(t testing.TB, dir, token string, env ...string) string {
	t.Helper()
	cmd := exec.Command(python(t), "testdata/python/server.py", dir, token)
	cmd.Env = append(append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1"), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if stderr.Len() > 0 {
			t.Errorf("the Python server says: %s", stderr.String())
		}
	})
	port, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("no port from the Python server: %v", err)
	}
	return net.JoinHostPort("127.0.0.1", strings.TrimSpace(port))
}

// dial connects with the token of the tests, unless o has another.
func dial(t *testing.T, o remote.Options) *remote.Client {
	t.Helper()
	o.Token = cmp.Or(o.Token, token)
	o.Timeout = 20 * time.Second
	c, err := remote.Dial(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// encryption is a way to encrypt, or not, between our side and a Python peer.
type encryption struct {
	name, token     string
	public, private string // of a configured pair of keys
	plain           bool
}

func encryptions(t *testing.T) []encryption {
	t.Helper()
	public, private, err := server.GenerateKeys()
	if err != nil {
		t.Fatal(err)
	}
	return []encryption{
		{name: "plain", token: token, plain: true},
		{name: "with keys", token: token, public: public, private: private},
		{name: "by a generated token", token: token},
		{name: "by a weak token", token: "correct horse"},
	}
}

// key returns the variable that tells a Python peer its key: where none is configured
// it derives one as the protocol's text says.
func (e *encryption) key(configured string) string {
	switch {
	case e.plain:
		return "SERVER_KEY="
	case configured == "":
		return "SERVER_KEY=derived"
	default:
		return "SERVER_KEY=" + configured
	}
}

// TestClientOnPythonServer runs every operation of our client against a server in
// Python, which ends with an error when it gets what the original does not know.
func TestClientOnPythonServer(t *testing.T) {
	for _, e := range encryptions(t) {
		t.Run(e.name, func(t *testing.T) {
			jail := t.TempDir()
			address := startPythonServer(t, jail, e.token, e.key(e.private))
			useForeignServer(t, dial(t, remote.Options{Address: address, Token: e.token, PublicKey: e.public, Plain: e.plain}))
		})
	}
}

// TestWhyAPythonServerHangsUpIsTold has one that does not encrypt, and one with another
// key: libzmq tells neither, and hangs up at one moment or another.
func TestWhyAPythonServerHangsUpIsTold(t *testing.T) {
	public, _, err := server.GenerateKeys()
	if err != nil {
		t.Fatal(err)
	}
	plain := startPythonServer(t, t.TempDir(), token)
	encrypts := startPythonServer(t, t.TempDir(), token, "SERVER_KEY=derived")
	for _, test := range []struct {
		o    remote.Options
		want remote.Code
	}{
		{remote.Options{Address: plain, Token: token}, remote.NotEncrypted},
		{remote.Options{Address: plain, Token: token, PublicKey: public}, remote.NotEncrypted},
		{remote.Options{Address: encrypts, Token: server.GenerateToken()}, remote.Denied},
		{remote.Options{Address: encrypts, Token: token, PublicKey: public}, remote.WrongKey},
	} {
		test.o.Timeout = 20 * time.Second
		for range 25 {
			if _, err := remote.Dial(t.Context(), test.o); !errors.Is(err, test.want) {
				t.Fatalf("error %v, want %v", err, test.want)
			}
		}
	}
}

func useForeignServer(t *testing.T, c *remote.Client) {
	ctx := context.Background()
	if !c.Foreign() {
		t.Error("a server without X-Remofile is not taken for foreign")
	}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	local := t.TempDir()
	content := bytes.Repeat([]byte("some bytes "), 5000)
	check(os.WriteFile(filepath.Join(local, "file"), content, 0o666))
	check(os.WriteFile(filepath.Join(local, "empty"), nil, 0o666))

	check(c.MakeDirectory(ctx, "/dir"))
	check(c.CreateFile(ctx, "/dir/new"))
	check(c.UploadFile(ctx, filepath.Join(local, "file"), "/dir/file", remote.TransferOptions{}))
	_, err := c.UploadFiles(ctx, []string{local}, "/", remote.TreeOptions{Recursive: true})
	check(err)
	back := t.TempDir()
	_, err = c.DownloadFiles(ctx, []string{"/" + filepath.Base(local)}, back, remote.TreeOptions{Recursive: true})
	check(err)
	back = filepath.Join(back, filepath.Base(local))
	for name, want := range map[string][]byte{"file": content, "empty": {}} {
		if got, err := os.ReadFile(filepath.Join(back, name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s came back with %d bytes, error %v", name, len(got), err)
		}
	}
	entries, err := c.List(ctx, "/dir")
	check(err)
	if len(entries) != 2 || entries[0].Name != "file" || entries[0].Size != int64(len(content)) || entries[1].Name != "new" {
		t.Errorf("listed %+v", entries)
	}
	if e, err := c.Stat(ctx, "/dir"); err != nil || !e.IsDir() {
		t.Errorf("/dir is %+v, error %v", e, err)
	}
	for _, test := range []struct {
		name string
		err  error
		want error
	}{
		{"a taken name", c.CreateFile(ctx, "/dir/new"), fs.ErrExist},
		{"a missing directory", c.MakeDirectory(ctx, "/none/x"), fs.ErrNotExist},
		{"upload to a taken name", c.UploadFile(ctx, filepath.Join(local, "file"), "/dir/file", remote.TransferOptions{}), fs.ErrExist},
		{"remove", c.Remove(ctx, "/dir/new"), errors.ErrUnsupported},
		{"replace", c.UploadFile(ctx, filepath.Join(local, "file"), "/dir/file", remote.TransferOptions{Replace: true}), errors.ErrUnsupported},
		{"cancelled upload", c.UploadFile(ctx, filepath.Join(local, "file"), "/cancelled", remote.TransferOptions{
			Progress: func(_ []byte, remaining, size int64, _ string) bool { return remaining == size },
		}), remote.Cancelled},
	} {
		if !errors.Is(test.err, test.want) {
			t.Errorf("%s: error %v, want %v", test.name, test.err, test.want)
		}
	}
	if _, err := c.Stat(ctx, "/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: error %v", err)
	}
	if _, err := c.List(ctx, "/"); err != nil {
		t.Errorf("after a cancelled upload: %v", err)
	}
}

// TestSmallChunksWhereTheServerWantsThem is about a server that refuses 8192.
func TestSmallChunksWhereTheServerWantsThem(t *testing.T) {
	jail := t.TempDir()
	address := startPythonServer(t, jail, token, "MAX_CHUNK_SIZE=512")
	content := bytes.Repeat([]byte{7}, 2000)
	c := dial(t, remote.Options{Address: address, Plain: true})
	if err := c.Upload(context.Background(), "/f", bytes.NewReader(content), 2000, remote.TransferOptions{}); err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if n, err := c.Download(context.Background(), "/f", &got, remote.TransferOptions{}); err != nil || n != 2000 || !bytes.Equal(got.Bytes(), content) {
		t.Errorf("%d bytes came back, error %v", n, err)
	}
}

// TestPythonClientOnServer replays what a Python client says, in each protocol of
// pickle, and holds our answers against what the original answers.
func TestPythonClientOnServer(t *testing.T) {
	for _, e := range encryptions(t) {
		t.Run(e.name, func(t *testing.T) {
			jail, address := startServer(t, server.Options{Token: e.token, PrivateKey: e.private, EncryptedOnly: !e.plain})
			runPythonClient(t, jail, address, e.token, e.key(e.public))
		})
	}
}

func runPythonClient(t *testing.T, jail, address, token, key string) {
	_, port, _ := net.SplitHostPort(address)
	cmd := exec.Command(python(t), "testdata/python/client.py", port, token)
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1", key)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("the Python client: %v, after %s", err, out)
	}
	data := bytes.Repeat(byteRange(), 40)
	want := []string{"[1, 3]", "[1, 11]", "[1, 12]", "[1, 14]", "[1, 2]", "[2, 6]", `[1, 1, {`,
		"[1, 11, 10240]", `[1, 13, "` + hexOf(data[:8192]) + `"]`, `[1, 14, "` + hexOf(data[8192:]) + `"]`}
	for range 6 {
		want = append(want, "[1, 11]", "[1, 12]", "[1, 14]")
	}
	want = append(want, "[2, 19]", "[1, 18]")
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != len(want) {
		t.Fatalf("%d responses, want %d", len(lines), len(want))
	}
	for i, line := range lines {
		if !strings.HasPrefix(line, want[i]) {
			t.Errorf("response %d: %.80s, want %.80s", i, line, want[i])
		}
	}
	if got, err := os.ReadFile(filepath.Join(jail, "from python", "data.bin")); err != nil || !bytes.Equal(got, data) {
		t.Errorf("data.bin has %d bytes in the jail, error %v", len(got), err)
	}
}

func byteRange() []byte {
	b := make([]byte, 256)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

func hexOf(b []byte) string { return hex.EncodeToString(b) }

package integration

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestPythonClientInRemofile2 has a client in Python, written from the specification alone,
// do what it can on rmf run, and looks what is in the jail then.
func TestPythonClientInRemofile2(t *testing.T) {
	interpreter := python(t)
	rmf := filepath.Join(buildRmf(t), "rmf")
	for _, e := range encryptions(t) {
		t.Run(e.name, func(t *testing.T) {
			jail := t.TempDir()
			server := exec.Command(rmf, "run", "--address", "127.0.0.1", "--log-level", "warn", jail, "0")
			server.Env = append(os.Environ(), "REMOFILE_TOKEN="+e.token, "REMOFILE_PRIVATE_KEY="+e.private)
			_, port, _ := net.SplitHostPort(startListening(t, server))
			client := exec.Command(interpreter, "testdata/python/client2.py", port, e.token)
			client.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1", e.key(e.public))
			if out, err := client.CombinedOutput(); err != nil {
				t.Fatalf("the Python client: %v: %s", err, out)
			}
			checkPythonWork(t, jail)
		})
	}
}

func checkPythonWork(t *testing.T, jail string) {
	t.Helper()
	directory := filepath.Join(jail, "from python")
	hasOnly(t, directory, "data.bin", "link", "not UTF-8 \xff", "renamed", "ü")
	data := string(bytes.Repeat(byteRange(), 1000))
	for name, want := range map[string]string{"data.bin": data, "link": data, "renamed": "\x00\x00\x00456789", "ü": ""} {
		holds(t, filepath.Join(directory, name), want)
	}
	for name, want := range map[string]os.FileMode{"data.bin": 0o640, "renamed": 0o600, ".": os.ModeDir | 0o750} {
		if info, err := os.Stat(filepath.Join(directory, name)); err != nil || info.Mode() != want {
			t.Errorf("%s: mode %v, error %v, want %v", name, info.Mode(), err, want)
		}
	}
}

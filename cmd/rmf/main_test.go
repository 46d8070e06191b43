package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
)

// capture returns an output that writes to buffers.
func capture() (out *output, stdout, stderr *bytes.Buffer) {
	stdout, stderr = new(bytes.Buffer), new(bytes.Buffer)
	return &output{stdout: stdout, stderr: stderr}, stdout, stderr
}

// clearEnvironment makes a test independent of the variables of who runs it.
func clearEnvironment(t *testing.T) {
	t.Helper()
	for _, name := range []string{"HOSTNAME", "PORT", "TOKEN", "PUBLIC_KEY", "PRIVATE_KEY", "PLAIN"} {
		t.Setenv("REMOFILE_"+name, "")
	}
	dropEmptyVariables()
}

// TestWrongUsage holds that what can be told without a server is told, in one
// line, with exit status 2 and nothing on standard output.
func TestWrongUsage(t *testing.T) {
	clearEnvironment(t)
	file, dir := "main_test.go", t.TempDir()
	client := func(command string, args ...string) []string { // one that lacks nothing
		return append([]string{command, "--hostname", "127.0.0.1", "--port", "1", "--token", "secret"}, args...)
	}
	for _, test := range []struct {
		args []string
		line string
	}{
		{[]string{}, `expected one of "list"`},
		{[]string{"fetch"}, "unexpected argument fetch"},
		{[]string{"list", "--colour"}, "unknown flag --colour"},
		{[]string{"file"}, `expected "<name>"`},
		{[]string{"list"}, "not set: REMOFILE_HOSTNAME, REMOFILE_TOKEN"},
		{[]string{"list", "--token", "x"}, "not set: REMOFILE_HOSTNAME"},
		{[]string{"list", "music"}, `"music": a remote path must be absolute`},
		{[]string{"file", "a", "b"}, `"b": a remote path must be absolute`},
		{[]string{"file", "/a"}, `"/a": NAME must be the name of one file`},
		{[]string{"folder", ".."}, `"..": NAME must be the name of one file`},
		{[]string{"remove", "/a", "/b"}, "an absolute path and a DIRECTORY can't both be given"},
		{[]string{"remove", "/a/.."}, "/: the served directory itself can't be removed"},
		{[]string{"upload", file, "b"}, `"b": a remote path must be absolute`},
		{[]string{"upload", "/"}, "/: it has no name to arrive under"},
		{[]string{"upload", file, "./" + file, "/"}, "main_test.go and ./main_test.go would both arrive as main_test.go"},
		{[]string{"download", "a"}, `"a": a remote path must be absolute`},
		{[]string{"download", "/a/x", "/b/x", dir}, "/a/x and /b/x would both arrive as x"},

		{client("list", "--port", "0"), `"0": a port is a number from 1 to 65535`},
		{client("list", "--port", "65536"), `"65536": a port is a number from 1 to 65535`},
		{client("list", "--timeout", "0"), "--timeout: 0 is not a number of milliseconds"},
		{client("list", "--timeout=-1"), "--timeout: -1 is not a number of milliseconds"},
		{client("list", "--public-key", "x"), "the public key: "},
		{client("list", "--public-key"), "--public-key: expected a key"},
		{client("list", "--public-key", strings.Repeat("a", 40), "--plain"), "--public-key and --plain (REMOFILE_PLAIN) can't both be given"},
		{client("list", "--token", strings.Repeat("x", 256)), "--token: a token has 1 to 255 bytes"},
		{client("mount", file), "main_test.go: not a directory"},
		{client("mount", "/nowhere"), "/nowhere: no such file or directory"},
		{client("mount", "-o", "shiny", dir), "-o shiny: unknown option"},
		{client("mount", "a", dir), `"a": a remote path must be absolute`},
		{client("mount", "/", "/", dir), "mount takes a DIRECTORY and a MOUNTPOINT"},
		{[]string{"mount", "--serve", dir}, `expected "<path> ..."`},
		{[]string{"mount", "--serve", dir, "/", dir}, "--serve takes a JAIL and a MOUNTPOINT"},
		{[]string{"mount", "--serve", dir, dir}, dir + " and " + dir + ": one is the other, or in it"},
		{[]string{"run", file}, "main_test.go: not a directory"},
		{[]string{"run", "/nowhere"}, "/nowhere: no such file or directory"},
		{[]string{"run", "--private-key", "x", dir}, "the private key: a key has 40 characters of Z85, not 1"},
		{[]string{"run", "--private-key", "@/nowhere", dir}, "/nowhere: no such file or directory"},
		{[]string{"run", dir, "x"}, `"x": a port is a number from 0 to 65535`},
		{[]string{"run", "--file-size-limit", "0", dir}, "--file-size-limit, --min-chunk-size and --max-chunk-size must be greater than 0"},
		{[]string{"run", "--max-chunk-size=-1", dir}, "--file-size-limit, --min-chunk-size and --max-chunk-size must be greater than 0"},
		{[]string{"run", "--log-format", "xml", dir}, `--log-format must be one of "text","json"`},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			out, stdout, stderr := capture()
			if status := run(context.Background(), test.args, out); status != exitUsage {
				t.Errorf("exit status %d, want %d", status, exitUsage)
			}
			if line, _, _ := strings.Cut(stderr.String(), "\n"); !strings.HasPrefix(line, "rmf: "+test.line) {
				t.Errorf("standard error begins with %q, want %q", line, test.line)
			}
			if stdout.Len() > 0 {
				t.Errorf("standard output has %q", stdout)
			}
		})
	}
}

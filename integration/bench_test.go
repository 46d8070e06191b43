package integration

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const benchmarkSize = 256 << 20

// BenchmarkTransfer moves one file of 256 MiB over loopback, between processes of
// their own: the client's and the server's largest memory are reported in MiB.
// The same is done by a client and a server in Python, as the original speaks: in chunks
// of 8192, not encrypted. x-python is how many times their rate ours is.
func BenchmarkTransfer(b *testing.B) {
	for _, chunkSize := range []int{256 << 10, 1 << 20} {
		for _, way := range []string{"upload", "download", "upload/plain", "download/plain"} {
			b.Run(fmt.Sprintf("%s/chunk=%dKiB", way, chunkSize>>10), func(b *testing.B) {
				way, plain := strings.CutSuffix(way, "/plain")
				s := startBenchmarkServer(b, chunkSize)
				s.plain = plain
				s.transfer(b, "upload", chunkSize) // to be downloaded, or to have touched the memory
				if way == "upload" {
					s.remove(b)
				}
				b.SetBytes(benchmarkSize)
				var clientMemory int64
				for b.Loop() {
					clientMemory = max(clientMemory, s.transfer(b, way, chunkSize))
					if way == "upload" {
						b.StopTimer()
						s.remove(b)
						b.StartTimer()
					}
				}
				b.ReportMetric(float64(clientMemory)/(1<<20), "client-MiB")
				serverMemory, err := peakMemory(s.cmd.Process.Pid)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(serverMemory)/(1<<20), "server-MiB")
				if rate := pythonRate(b, way); chunkSize == 256<<10 && rate > 0 {
					ours := float64(b.N) * benchmarkSize / b.Elapsed().Seconds()
					b.ReportMetric(ours/rate, "x-python")
				}
			})
		}
	}
}

type benchmarkServer struct {
	cmd           *exec.Cmd
	jail, address string
	plain         bool // its clients don't encrypt
}

// startBenchmarkServer runs the command itself.
func startBenchmarkServer(b *testing.B, maxChunkSize int) *benchmarkServer {
	b.Helper()
	bin, jail := buildRmf(b), memoryDir(b)
	cmd := exec.Command(filepath.Join(bin, "rmf"), "run", "--address", "127.0.0.1",
		fmt.Sprintf("--max-chunk-size=%d", maxChunkSize), "--log-level", "warn", jail, "0", token)
	return &benchmarkServer{cmd: cmd, jail: jail, address: startListening(b, cmd)}
}

// memoryDir returns a new directory in memory, where there is one: a disk that is
// still busy with the last benchmark would be measured otherwise.
func memoryDir(b testing.TB) string {
	dir, err := os.MkdirTemp("/dev/shm", "remofile")
	if err != nil {
		return b.TempDir()
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// startListening starts a server and returns its address. The server ends with the
// test.
func startListening(t testing.TB, cmd *exec.Cmd) string {
	t.Helper()
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	lines.Scan()
	first := lines.Text()
	drained := make(chan struct{})
	go func() { // ends with the process
		defer close(drained)
		for lines.Scan() {
		}
	}()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		<-drained
		cmd.Wait()
	})
	address, ok := strings.CutPrefix(first, "listening on ")
	if !ok {
		t.Fatalf("the server says %q", first)
	}
	return address
}

// transfer runs a client and returns the most memory that it used, in bytes.
func (s *benchmarkServer) transfer(b *testing.B, way string, chunkSize int) int64 {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "REMOFILE_TEST_TRANSFER="+way, "REMOFILE_TEST_ADDRESS="+s.address,
		fmt.Sprintf("REMOFILE_TEST_SIZES=%d %d", benchmarkSize, chunkSize), fmt.Sprintf("REMOFILE_TEST_PLAIN=%v", s.plain))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		b.Fatal(err)
	}
	memory, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return memory
}

// remove removes what a client has uploaded.
func (s *benchmarkServer) remove(b *testing.B) {
	b.Helper()
	if err := os.Remove(filepath.Join(s.jail, "rmf.bin")); err != nil {
		b.Fatal(err)
	}
}

// pythonRate returns the bytes a second of the Python peers with chunks of 8192,
// measured now, or 0 where there is no Python.
func pythonRate(b *testing.B, way string) float64 {
	const size = 32 << 20
	interpreter := findPython()
	if interpreter == "" {
		return 0
	}
	jail := memoryDir(b)
	if way == "download" {
		if err := os.WriteFile(filepath.Join(jail, "python.bin"), make([]byte, size), 0o666); err != nil {
			b.Fatal(err)
		}
	}
	_, port, _ := net.SplitHostPort(startPythonServer(b, jail, token))
	cmd := exec.Command(interpreter, "testdata/python/transfer.py", port, token, way, fmt.Sprint(size), "8192")
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	start := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	return size / time.Since(start).Seconds()
}

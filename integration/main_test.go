package integration

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/remofile/remofile/remote"
)

// TestMain lets the test binary be a client or a server in a process of its own, whose
// memory can be measured.
func TestMain(m *testing.M) {
	if way := os.Getenv("REMOFILE_TEST_TRANSFER"); way != "" {
		exitWith(transferAndTell(way))
	}
	if jail := os.Getenv(serverRole); jail != "" {
		exitWith(beServer(jail))
	}
	os.Exit(m.Run())
}

func exitWith(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// transferAndTell is the role of a client process: it writes to standard output how
// much memory a transfer took, in bytes.
func transferAndTell(way string) error {
	if err := transferOnce(way); err != nil {
		return err
	}
	memory, err := peakMemory(os.Getpid())
	fmt.Println(memory)
	return err
}

// transferOnce uploads or downloads the local file of the environment.
func transferOnce(way string) error {
	var size, chunkSize int64
	if _, err := fmt.Sscan(os.Getenv("REMOFILE_TEST_SIZES"), &size, &chunkSize); err != nil {
		return err
	}
	ctx := context.Background()
	c, err := remote.Dial(ctx, remote.Options{
		Address: os.Getenv("REMOFILE_TEST_ADDRESS"), Token: token, ChunkSize: int(chunkSize), Timeout: time.Minute,
		Plain: os.Getenv("REMOFILE_TEST_PLAIN") == "true",
	})
	if err != nil {
		return err
	}
	defer c.Close()
	if way == "upload" {
		return c.Upload(ctx, "/rmf.bin", zeros{}, size, remote.TransferOptions{})
	}
	_, err = c.Download(ctx, "/rmf.bin", io.Discard, remote.TransferOptions{})
	return err
}

// peakMemory returns the most memory that a living process has used, in bytes. (The
// resource usage of an ended one tells that of its parent, if that is more.)
func peakMemory(pid int) (int64, error) { return memoryOf(pid, "VmHWM") }

// memoryOf returns a field of a process's status (proc_pid_status(5)) in bytes.
func memoryOf(pid int, field string) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, value, _ := strings.Cut(string(status), field+":")
	var kib int64
	_, err = fmt.Sscan(value, &kib)
	return kib << 10, err
}

// zeros is /dev/zero.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

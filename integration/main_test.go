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

// TestMain lets the test binary be a client process of its own, whose memory can
// be measured.
func TestMain(m *testing.M) {
	if way := os.Getenv("REMOFILE_TEST_TRANSFER"); way != "" {
		err := transferOnce(way)
		if err == nil {
			var memory int64
			memory, err = peakMemory(os.Getpid())
			fmt.Println(memory)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
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
func peakMemory(pid int) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, peak, _ := strings.Cut(string(status), "VmHWM:")
	var kib int64
	_, err = fmt.Sscan(peak, &kib)
	return kib << 10, err
}

// zeros is /dev/zero.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

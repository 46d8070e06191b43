package integration

import (
	"context"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"github.com/remofile/remofile/remote"
)

// TestMain lets the test binary be a client process of its own, whose memory can
// be measured.
func TestMain(m *testing.M) {
	if way := os.Getenv("REMOFILE_TEST_TRANSFER"); way != "" {
		if err := transferOnce(way); err != nil {
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

// zeros is /dev/zero.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

package integration

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/remofile/remofile/remote"
	"github.com/remofile/remofile/server"
)

// follower is FollowUpload or FollowDownload under way.
type follower struct {
	source, destination string // local paths, one of them in the jail
	runs                atomic.Int64
}

// follow begins to follow what changes on one side. It ends with the test, which fails unless that is
// without an error.
func follow(t *testing.T, c *remote.Client, jail string, up bool) *follower {
	t.Helper()
	f := &follower{source: t.TempDir(), destination: filepath.Join(jail, "d")}
	call := func(ctx context.Context, o remote.FollowOptions) error { return c.FollowUpload(ctx, f.source, "/d", o) }
	if !up {
		f.source, f.destination = f.destination, f.source
		call = func(ctx context.Context, o remote.FollowOptions) error {
			return c.FollowDownload(ctx, "/d", f.destination, o)
		}
	}
	run(t, "mkdir", "-p", f.source)
	o := remote.FollowOptions{Quiet: 10 * time.Millisecond}
	o.Delete = true
	o.Ran = func(remote.Summary, error) { f.runs.Add(1) }
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- call(ctx, o) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("it ended with %v", err)
		}
	})
	return f
}

// await waits until the destination has a file with that content, or with "" not any longer.
func (f *follower) await(t *testing.T, name, content string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		got, err := os.ReadFile(filepath.Join(f.destination, name))
		if err == nil && string(got) == content || content == "" && errors.Is(err, os.ErrNotExist) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s holds %.40q after %v, error %v, want %.40q", name, got, patience, err, content)
		}
	}
}

func directions(t *testing.T, test func(t *testing.T, up bool)) {
	t.Run("upload", func(t *testing.T) { test(t, true) })
	t.Run("download", func(t *testing.T) { test(t, false) })
}

// TestChangesAreFollowed in new directories and renamed ones, too. What the runs themselves do is
// no change: they come to rest.
func TestChangesAreFollowed(t *testing.T) {
	directions(t, func(t *testing.T, up bool) {
		c, jail := client(t)
		f := follow(t, c, jail, up)
		write(t, filepath.Join(f.source, "a"), "first")
		f.await(t, "a", "first")
		run(t, "mkdir", "-p", filepath.Join(f.source, "b/c"))
		write(t, filepath.Join(f.source, "b/c/d"), "second")
		f.await(t, "b/c/d", "second")
		run(t, "mv", filepath.Join(f.source, "b"), filepath.Join(f.source, "e"))
		f.await(t, "e/c/d", "second")
		f.await(t, "b/c/d", "")
		write(t, filepath.Join(f.source, "e/c/d"), "third, longer")
		f.await(t, "e/c/d", "third, longer")
		before := f.runs.Load()
		time.Sleep(500 * time.Millisecond) // 50 times as long as it takes to begin another
		if more := f.runs.Load() - before; more > 10 {
			t.Errorf("%d runs without a change", more)
		}
	})
}

// TestFollowingSurvivesALostLink: what has changed meanwhile comes when it is back.
func TestFollowingSurvivesALostLink(t *testing.T) {
	directions(t, func(t *testing.T, up bool) {
		jail, address := startServer(t, server.Options{})
		link := startMeteredLink(t, address)
		c := dial(t, remote.Options{Address: link.address, Timeout: time.Second})
		f := follow(t, c, jail, up)
		write(t, filepath.Join(f.source, "a"), "first")
		f.await(t, "a", "first")
		link.lead("127.0.0.1:1") // nobody
		link.cut()
		write(t, filepath.Join(f.source, "a"), "second")
		link.lead(address)
		f.await(t, "a", "second")
		write(t, filepath.Join(f.source, "a"), "the third")
		f.await(t, "a", "the third")
	})
}

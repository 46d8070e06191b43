package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/remofile/remofile/remote"
	"github.com/remofile/remofile/server"
)

// cutsUpTo is more bytes than the session of useSession sends or receives.
const cutsUpTo = 16_000

// TestNoCutIsNoticed cuts the link of a session after so many bytes, once or again and
// again: as long as the server lives, all that is asked of it is done, and done once. With
// REMOFILE_TEST_FULL=1 the cuts are closer to each other.
func TestNoCutIsNoticed(t *testing.T) {
	rnd := rand.New(rand.NewPCG(testSeed(t), 0))
	step := cutsUpTo / 10
	if os.Getenv("REMOFILE_TEST_FULL") == "1" {
		step = 64
	}
	before := restingUsage(t)
	jail := t.TempDir()
	address, stop := serve(t, server.Options{Jail: jail})
	var all errgroup.Group
	all.SetLimit(16) // most of the time a session waits, to connect again
	for after := rnd.IntN(step); after < cutsUpTo; after += step {
		for name, plan := range cutPlans(int64(after), rnd.Uint64()) {
			p := startCutter(t, address, plan)
			all.Go(func() error {
				defer p.close()
				if err := useSession(t.Context(), p.address(), fmt.Sprintf("/%s %d", name, after), after%2 == 0); err != nil {
					t.Errorf("cut %s after %d bytes: %v", name, after, err)
				}
				return nil
			})
		}
	}
	all.Wait()
	stop()
	hasOnly(t, jail)
	mustSettle(t, before)
}

// cutPlans are the plans of a cutter: to cut the first link in one direction, or all links
// in both. These carry more than a client sends before it must have an answer: else it gives
// up at last, since no link was of any use.
func cutPlans(after int64, seed uint64) map[string]func() (up, down cut) {
	uncut := cut{after: -1}
	once := func(up, down cut) func() (cut, cut) {
		links := 0
		return func() (cut, cut) {
			if links++; links > 1 {
				return uncut, uncut
			}
			return up, down
		}
	}
	rnd := rand.New(rand.NewPCG(seed, 0))
	useful := func() cut { return cut{after: 4000 + rnd.Int64N(after+1)} }
	return map[string]func() (up, down cut){
		"up":              once(cut{after: after}, uncut),
		"down":            once(uncut, cut{after: after}),
		"again and again": func() (up, down cut) { return useful(), useful() },
	}
}

// useSession does all kinds of things in a new directory, each of which must succeed, and
// leaves nothing.
func useSession(ctx context.Context, address, dir string, plain bool) error {
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	c, err := dialUntil(ctx, remote.Options{Address: address, Token: token, Plain: plain, ChunkSize: 512, Timeout: patience})
	if err != nil {
		return err
	}
	defer c.Close()
	const size = 1500
	content := bytes.Repeat([]byte("whole "), size)[:size]
	upload := func(p string, replace bool) error {
		return c.Upload(ctx, p, bytes.NewReader(content), size, remote.TransferOptions{Replace: replace})
	}
	err = inTurn(
		func() error { return c.MakeDirectory(ctx, dir) },
		func() error { return upload(dir+"/new", false) },
		func() error { return c.Rename(ctx, dir+"/new", dir+"/renamed", remote.RenameKeep) },
		func() error { return upload(dir+"/renamed", true) },
		func() error { return appendLines(ctx, c, dir+"/log") },
		func() error { return burst(ctx, c, dir) },
		func() error { return downloads(ctx, c, dir+"/renamed", content) },
		func() error { return c.Remove(ctx, dir+"/renamed") },
		func() error { return c.Remove(ctx, dir+"/log") },
		func() error { return c.Remove(ctx, dir) },
	)
	if _, stat := c.Stat(ctx, dir); err == nil && !errors.Is(stat, fs.ErrNotExist) {
		err = fmt.Errorf("the directory is still there, error %v", stat)
	}
	return err
}

// dialUntil goes on until it has a client: the first link may be cut, too.
func dialUntil(ctx context.Context, o remote.Options) (*remote.Client, error) {
	for {
		c, err := remote.Dial(ctx, o)
		if err == nil || !errors.Is(err, remote.Unreachable) {
			return c, err
		}
	}
}

// inTurn ends with the first error.
func inTurn(steps ...func() error) error {
	for i, step := range steps {
		if err := step(); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
	}
	return nil
}

// appendLines appends lines and looks whether each of them is there once.
func appendLines(ctx context.Context, c *remote.Client, p string) error {
	f, err := c.OpenFile(ctx, p, os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	var want strings.Builder
	for i := range 20 {
		line := fmt.Sprintf("line %d\n", i)
		want.WriteString(line)
		if _, err := f.Write([]byte(line)); err != nil {
			f.Close()
			return err
		}
	}
	if err := f.Close(); err != nil {
		return err
	}
	return downloads(ctx, c, p, []byte(want.String()))
}

func downloads(ctx context.Context, c *remote.Client, p string, want []byte) error {
	var got bytes.Buffer
	if _, err := c.Download(ctx, p, &got, remote.TransferOptions{}); err != nil {
		return err
	}
	if !bytes.Equal(got.Bytes(), want) {
		return fmt.Errorf("%s holds %.100q, want %.100q", p, got.Bytes(), want)
	}
	return nil
}

// burst makes, renames and removes directories of dir at the same time.
func burst(ctx context.Context, c *remote.Client, dir string) error {
	const many = 10
	errs := make([]error, many)
	var all sync.WaitGroup
	for i := range many {
		p := fmt.Sprintf("%s/burst %d", dir, i)
		all.Go(func() {
			errs[i] = inTurn(
				func() error { return c.MakeDirectory(ctx, p) },
				func() error { return c.Rename(ctx, p, p+" renamed", remote.RenameKeep) },
				func() error { return c.CreateFile(ctx, p+" renamed/file") },
				func() error { return c.Remove(ctx, p+" renamed/file") },
				func() error { return c.Remove(ctx, p+" renamed") },
			)
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

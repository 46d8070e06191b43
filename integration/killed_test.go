package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/remofile/remofile/remote"
)

// killing is a file that rmf overwrites again and again, one way, through a metered link to
// a server process.
type killing struct {
	resumption           // its server is what the link leads to
	sync       bool      // with rmf sync: a new version has much of the old one
	bin        string    // where rmf is
	process    *exec.Cmd // the server
	link       *meteredLink
}

func newKilling(t *testing.T, bin string, up bool) *killing {
	t.Helper()
	k := &killing{resumption: resumption{t: t, up: up, jail: t.TempDir(), local: t.TempDir()}, bin: bin}
	k.link = startMeteredLink(t, "")
	k.startServer()
	k.source, k.destination = filepath.Join(k.jail, "file"), filepath.Join(k.local, "file")
	if up {
		k.source, k.destination = k.destination, k.source
	}
	return k
}

func (k *killing) startServer() {
	k.process = exec.Command(filepath.Join(k.bin, "rmf"), "run", "--address", "127.0.0.1", k.jail, "0", token)
	k.server = startListening(k.t, k.process)
	k.link.lead(k.server)
}

// restartServer kills the server and starts another one for the same jail.
func (k *killing) restartServer() {
	k.process.Process.Kill()
	k.process.Process.Wait()
	k.startServer()
}

// command is the transfer.
func (k *killing) command() *exec.Cmd {
	host, port, err := net.SplitHostPort(k.link.address)
	if err != nil {
		k.t.Fatal(err)
	}
	args := []string{"download", "/file", k.local}
	if k.up {
		args = []string{"upload", k.source, "/"}
	}
	switch {
	case k.sync && k.up:
		args = []string{"sync", "local", k.local, "/"}
	case k.sync:
		args = []string{"sync", "remote", "/", k.local}
	default:
		args = append(args, "--force")
	}
	args = append(args, "--timeout", fmt.Sprint(patience.Milliseconds()), "--hostname", host, "--port", port)
	cmd := exec.Command(filepath.Join(k.bin, "rmf"), args...)
	cmd.Env = append(os.Environ(), "REMOFILE_TOKEN="+token)
	return cmd
}

// TestKilledTransfers kills one side of a transfer that replaces a file, at random moments.
// Whoever reads the file always has the old or the new one, whole, and the same command goes
// on. REMOFILE_TEST_SEED repeats a run that failed.
func TestKilledTransfers(t *testing.T) {
	moments := 5
	if fullSize() {
		moments = 100
	}
	bin := buildRmf(t)
	seed := testSeed(t)
	for i, test := range []struct {
		name     string
		up, sync bool
		kill     func(k *killing, client *os.Process)
	}{
		{"client of an upload", true, false, killClient},
		{"server of an upload", true, false, killServer},
		{"client of a download", false, false, killClient},
		{"server of a download", false, false, killServer},
		{"client of a synchronisation up", true, true, killClient},
		{"server of a synchronisation up", true, true, killServer},
		{"client of a synchronisation down", false, true, killClient},
		{"server of a synchronisation down", false, true, killServer},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := newKilling(t, bin, test.up)
			k.sync = test.sync
			random := rand.New(rand.NewPCG(seed, uint64(i)))
			old := randomBytes(random, 1000)
			if k.sync {
				old = randomBytes(random, 2<<20)
			}
			write(t, k.destination, string(old))
			n := moments
			if k.sync {
				n = max(2, moments/2)
			}
			for range n {
				old = k.moment(random, old, test.kill)
			}
		})
	}
}

func killClient(_ *killing, client *os.Process) { client.Kill() }
func killServer(k *killing, _ *os.Process)      { k.restartServer() }

// next returns a new version, and how many bytes of it are new.
func (k *killing) next(random *rand.Rand, old []byte) (content []byte, fresh int) {
	if !k.sync {
		content = randomBytes(random, uploadHead+1+random.IntN(4<<20))
		return content, len(content)
	}
	fresh = 1 + random.IntN(512<<10)
	return slices.Insert(slices.Clone(old), random.IntN(len(old)), randomBytes(random, fresh)...), fresh
}

// moment kills the transfer of a new file, and has it done then. It returns the file.
func (k *killing) moment(random *rand.Rand, old []byte, kill func(*killing, *os.Process)) []byte {
	k.t.Helper()
	content, fresh := k.next(random, old)
	write(k.t, k.source, string(content))
	stopReading := k.startReaders(old, content)
	defer stopReading()
	client := k.command()
	after := 1 + random.Int64N(int64(fresh))
	if err := client.Start(); err != nil {
		k.t.Fatal(err)
	}
	k.link.after(after, func() {
		kill(k, client.Process)
		k.link.cut()
	})
	err := client.Wait()
	k.link.forget()
	if err == nil {
		k.t.Logf("it was quicker than %d of %d bytes", after, len(content))
	}
	var part []byte
	if path := k.part(); path != "" {
		part, err = os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			k.t.Fatal(err)
		}
	}
	there := k.there(part, content)
	k.t.Logf("killed after %d of %d bytes, a part of %d: %d are right", after, len(content), len(part), there)
	before := k.link.carried()
	if out, err := k.command().CombinedOutput(); err != nil {
		k.t.Fatalf("again: %v\n%s", err, out)
	}
	carried := k.link.carried() - before
	if most := int64(len(content)) - there; carried > most+most/50+2*compared { // where the blocks begin depends on the link
		k.t.Errorf("%d bytes were carried, for %d of %d that are to be transferred", carried, most, len(content))
	}
	if got := read(k.t, k.destination); !bytes.Equal(got, content) {
		k.t.Errorf("%d bytes have arrived, or other ones than the %d of the source", len(got), len(content))
	}
	if left := k.part(); left != "" {
		k.t.Errorf("%s is left", left)
	}
	hasOnly(k.t, k.jail, "file")
	return content
}

// startReaders has the destination read all the time, where it is and, if that is the jail, by
// a client, until stop.
func (k *killing) startReaders(old, content []byte) (stop func()) {
	ctx, cancel := context.WithCancel(k.t.Context())
	var running sync.WaitGroup
	check := func(got []byte, by string) {
		if !bytes.Equal(got, old) && !bytes.Equal(got, content) {
			k.t.Errorf("read by %s: %d bytes, neither the old %d nor the new %d", by, len(got), len(old), len(content))
		}
	}
	running.Go(func() { // until stop
		for ctx.Err() == nil {
			got, err := os.ReadFile(k.destination)
			if err != nil {
				k.t.Error(err)
			}
			check(got, "a process")
			time.Sleep(10 * time.Millisecond)
		}
	})
	if k.up {
		running.Go(func() { // until stop
			for ctx.Err() == nil {
				k.readRemotely(ctx, check)
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	return func() {
		cancel()
		running.Wait()
	}
}

// readRemotely reads the file as a client does, until that fails: with the server, it must.
func (k *killing) readRemotely(ctx context.Context, check func(got []byte, by string)) {
	c, err := remote.Dial(ctx, remote.Options{
		Address: k.link.address, Token: token, Timeout: patience,
		Dial: func(ctx context.Context, _ string) (net.Conn, error) { // past the link
			var d net.Dialer
			return d.DialContext(ctx, "tcp", k.link.target())
		},
	})
	if err != nil {
		return
	}
	defer c.Close()
	for {
		var got bytes.Buffer
		if _, err := c.Download(ctx, "/file", &got, remote.TransferOptions{}); err != nil {
			if !errors.Is(err, context.Canceled) && !errors.Is(err, remote.Unreachable) {
				k.t.Errorf("read by a client: %v", err)
			}
			return
		}
		check(got.Bytes(), "a client")
		time.Sleep(10 * time.Millisecond)
	}
}

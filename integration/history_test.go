package integration

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/remofile/remofile/server"
)

// unending is when an action returns whose outcome is unknown: the server may do it at any
// time later, or never.
const unending = math.MaxInt64

const (
	historians   = 20 // clients at once
	sharedPlaces = 6  // each historian also has a place of its own
	actions      = 30 // of a historian in a round
)

// historyRound is one server, the clients that use it at the same time through links that
// are cut, and what they are told. Rounds are short: the time to check a history grows with
// the number of unknown outcomes.
type historyRound struct {
	t        *testing.T
	jail     string
	address  string // of the proxy
	plain    bool
	seed     uint64
	rand     *rand.Rand // of the proxy
	start    time.Time
	contents atomic.Int64 // the number of the last upload
}

// TestHistoriesAreLinearizable has many clients use the same names while their links are
// cut, and checks what each was told. REMOFILE_TEST_SEED repeats the choices of a run, not
// its timing. With REMOFILE_TEST_FULL=1 it goes on for 30 seconds.
func TestHistoriesAreLinearizable(t *testing.T) {
	seed := testSeed(t)
	before := restingUsage(t)
	const rounds = 2
	fullUntil := time.Now()
	if os.Getenv("REMOFILE_TEST_FULL") == "1" {
		fullUntil = fullUntil.Add(30 * time.Second)
	}
	for n := 0; (n < rounds || time.Now().Before(fullUntil)) && !t.Failed(); n++ {
		r := &historyRound{t: t, jail: t.TempDir(), plain: n%2 == 0, seed: seed + uint64(n), start: time.Now()}
		history := r.run()
		t.Logf("round %d: %s", n, countResults(history))
		if err := checkHistory(history); err != nil {
			t.Errorf("round %d: %v", n, err)
		}
	}
	mustSettle(t, before)
}

// testSeed returns the seed of a test that makes random choices.
func testSeed(t *testing.T) uint64 {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("REMOFILE_TEST_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("REMOFILE_TEST_SEED=%d", seed)
	return seed
}

// restingUsage is what this process holds when it has used the network before: the runtime
// keeps descriptors of its own from then on.
func restingUsage(t *testing.T) usage {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	u, err := ownUsage()
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// mustSettle fails the test unless this process gets back to the goroutines and descriptors
// that it had.
func mustSettle(t *testing.T, before usage) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		u, err := ownUsage()
		if err != nil {
			t.Fatal(err)
		}
		if u.goroutines <= before.goroutines && u.descriptors <= before.descriptors {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines and %d descriptors are left, there were %d and %d", u.goroutines, u.descriptors,
				before.goroutines, before.descriptors)
		}
	}
}

// run returns what all clients were told, and at last what the jail holds.
func (r *historyRound) run() (history []porcupine.Operation) {
	address, stop := serve(r.t, server.Options{Jail: r.jail})
	var places []string
	for i := range sharedPlaces {
		places = append(places, fmt.Sprintf("shared %d", i))
	}
	for i := range historians {
		places = append(places, fmt.Sprintf("own %d", i))
	}
	for _, place := range places {
		if err := os.Mkdir(filepath.Join(r.jail, place), 0o755); err != nil {
			r.t.Fatal(err)
		}
	}
	r.rand = r.newRand(historians)
	proxy := startCutter(r.t, address, r.plan)
	r.address = proxy.address()
	var all sync.WaitGroup
	parts := make([][]porcupine.Operation, historians)
	for i := range parts {
		h := &historian{historyRound: r, id: i, rand: r.newRand(i)}
		all.Go(func() {
			h.live()
			parts[i] = h.history
		})
	}
	all.Wait()
	proxy.close()
	stop()
	if r.t.Logf("%d connections", proxy.carried); proxy.carried == historians {
		r.t.Error("no link was cut: the test tests nothing")
	}
	for _, part := range parts {
		history = append(history, part...)
	}
	for _, place := range places {
		history = append(history, r.inspect(place)...)
	}
	nothingCalled(r.t, filepath.Join(r.jail, stagingPattern))
	return history
}

func (r *historyRound) newRand(of int) *rand.Rand { return rand.New(rand.NewPCG(r.seed, uint64(of))) }

// plan lets a connection carry some KiB before it is cut, and sometimes falls silent before.
func (r *historyRound) plan() (up, down cut) {
	some := func() cut {
		return cut{
			after:   300 + int64(r.rand.ExpFloat64()*3_000),
			silence: time.Duration(r.rand.ExpFloat64() * float64(20*time.Millisecond)),
			goesOn:  r.rand.IntN(3) == 0,
		}
	}
	return some(), some()
}

// inspect looks into the jail when all is over. Its files must be whole.
func (r *historyRound) inspect(place string) (history []porcupine.Operation) {
	var known int
	call := r.now()
	for s := range slot(slots) {
		a := action{kind: look, place: place, slot: s}
		path := filepath.Join(r.jail, a.path())
		o := reply{result: done}
		var err error
		if o.content, err = inspectFile(path); err != nil {
			r.t.Error(err)
		}
		if o.content != absent {
			known++
		}
		history = append(history, porcupine.Operation{ClientId: historians, Input: a, Output: o, Call: call, Return: r.now()})
	}
	entries := 0
	err := filepath.WalkDir(filepath.Join(r.jail, place), func(string, fs.DirEntry, error) error {
		entries++
		return nil
	})
	if err != nil || entries != 1+known {
		r.t.Errorf("%s has %d entries, error %v, want %d", place, entries-1, err, known)
	}
	return history
}

// inspectFile returns what a file of the jail is.
func inspectFile(path string) (content, error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return absent, nil
	case err != nil:
		return absent, err
	case info.IsDir():
		return directory, nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return absent, err
	}
	return whole(b)
}

// countResults tells how often clients were told what.
func countResults(history []porcupine.Operation) string {
	counts := make(map[string]int)
	for _, op := range history {
		counts[fmt.Sprintf("%s %s", op.Input.(action).kind, op.Output.(reply).result)]++
	}
	return fmt.Sprint(len(history), " actions, ", counts)
}

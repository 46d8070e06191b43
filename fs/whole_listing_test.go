package fs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/remofile/remofile/remote"
)

// lister counts the requests for a listing and answers each after a second.
type lister struct {
	requests int
	answer   []remote.Entry
	err      error
}

func (l *lister) list(ctx context.Context) ([]remote.Entry, error) {
	l.requests++
	select {
	case <-time.After(time.Second):
		return l.answer, l.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func file(name string, size int64) remote.Entry {
	return remote.Entry{Name: name, Attr: remote.Attr{Size: size, Modified: time.Unix(1e9, 0)}}
}

// names returns what the listing has, without asking.
func (l *wholeListing) names(t *testing.T) string {
	t.Helper()
	all, err := l.all(t.Context(), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	for _, e := range all {
		text += fmt.Sprintf("%s:%d ", e.Name, e.Size)
	}
	return text
}

func TestOneListRequestAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &lister{answer: []remote.Entry{file("a", 1)}}
		l := &wholeListing{list: server.list}
		var lookups sync.WaitGroup
		for range 10 {
			lookups.Go(func() {
				if _, found, err := l.lookup(t.Context(), "a", time.Now()); !found || err != nil {
					t.Errorf("found %v, error %v", found, err)
				}
			})
		}
		lookups.Wait()
		if server.requests != 1 {
			t.Errorf("%d requests for ten look-ups at once, want 1", server.requests)
		}
	})
}

func TestListingIsKeptAsLongAsItIsFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &lister{}
		l := &wholeListing{list: server.list}
		asked := time.Now()
		for _, step := range []struct {
			since time.Time
			want  int
		}{
			{asked, 1},
			{asked, 1},
			{asked.Add(time.Nanosecond), 2},
		} {
			if err := l.refresh(t.Context(), step.since); err != nil {
				t.Fatal(err)
			}
			if server.requests != step.want {
				t.Errorf("%d requests, want %d", server.requests, step.want)
			}
		}
	})
}

// An open must not take an answer that was on its way before the open began.
func TestLaterLookupDoesNotTakeAnEarlierAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &lister{}
		l := &wholeListing{list: server.list}
		go l.refresh(t.Context(), time.Now())
		time.Sleep(time.Second / 2)
		if err := l.refresh(t.Context(), time.Now()); err != nil {
			t.Fatal(err)
		}
		if server.requests != 2 {
			t.Errorf("%d requests, want 2", server.requests)
		}
	})
}

func TestInterruptOfOneLookupDoesNotFailTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &lister{answer: []remote.Entry{file("a", 1)}}
		l := &wholeListing{list: server.list}
		first, interrupt := context.WithCancel(t.Context())
		go func() {
			if err := l.refresh(first, time.Now()); !errors.Is(err, context.Canceled) {
				t.Errorf("the interrupted one: %v", err)
			}
		}()
		synctest.Wait()
		go func() {
			time.Sleep(time.Second / 2)
			interrupt()
		}()
		if _, found, err := l.lookup(t.Context(), "a", time.Now()); !found || err != nil {
			t.Errorf("the one who waited: found %v, error %v", found, err)
		}
	})
}

func TestWaitForAListingIsInterruptible(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &wholeListing{list: (&lister{}).list}
		go l.refresh(t.Context(), time.Now())
		synctest.Wait()
		ctx, interrupt := context.WithCancel(t.Context())
		interrupt()
		if err := l.refresh(ctx, time.Now()); !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want the end of the context", err)
		}
		time.Sleep(2 * time.Second)
	})
}

// With a dead link each of those who wait would else ask for itself, one after
// the other.
func TestFailureOfAListingIsSharedByWhoWaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &lister{err: &remote.Error{Op: "list", Path: "/", Code: remote.Timeout}}
		l := &wholeListing{list: server.list}
		var lookups sync.WaitGroup
		for range 10 {
			lookups.Go(func() {
				if err := l.refresh(t.Context(), time.Now()); !errors.Is(err, remote.Timeout) {
					t.Errorf("%v, want a timeout", err)
				}
			})
		}
		lookups.Wait()
		if server.requests != 1 {
			t.Errorf("%d requests, want 1", server.requests)
		}
	})
}

// The answer of a request that was under way may be older than the changes.
func TestOwnChangesSurviveAnAnswerThatLacksThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &lister{answer: []remote.Entry{file("kept", 1), file("removed", 1), file("replaced", 1)}}
		l := &wholeListing{list: server.list}
		go l.refresh(t.Context(), time.Now())
		synctest.Wait()
		l.put(entry{Entry: file("new", 2)})
		l.put(entry{Entry: file("replaced", 2)})
		l.remove("removed")
		time.Sleep(2 * time.Second)
		if got, want := l.names(t), "kept:1 new:2 replaced:2 "; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if err := l.refresh(t.Context(), time.Now()); err != nil {
			t.Fatal(err)
		}
		if got, want := l.names(t), "kept:1 removed:1 replaced:1 "; got != want {
			t.Errorf("after the next answer: %s, want %s", got, want)
		}
	})
}

func TestTimeOfAnOwnUploadIsAskedOfTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &lister{}
		l := &wholeListing{list: server.list}
		if err := l.refresh(t.Context(), time.Now()); err != nil {
			t.Fatal(err)
		}
		l.put(entry{Entry: remote.Entry{Name: "a", Attr: remote.Attr{Size: 2, Modified: time.Now()}}, provisional: true})
		server.answer = []remote.Entry{file("a", 2)}
		for range 2 {
			e, _, err := l.lookup(t.Context(), "a", time.Time{})
			if err != nil || !e.Modified.Equal(server.answer[0].Modified) {
				t.Errorf("%v, error %v, want the server's time", e, err)
			}
		}
		if server.requests != 2 {
			t.Errorf("%d requests, want 2: the second look-up had nothing to ask", server.requests)
		}
	})
}

// TestSlowListingServesItsReader has an answer that takes longer than listings are
// kept: whoever waited for it can go through all its names.
func TestSlowListingServesItsReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		requests := 0
		l := &wholeListing{list: func(context.Context) ([]remote.Entry, error) {
			requests++
			time.Sleep(time.Minute)
			return []remote.Entry{file("a", 1), file("b", 1)}, nil
		}}
		if _, err := l.all(t.Context(), l.fresh(time.Second)); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"a", "b"} {
			if _, found, err := l.lookup(t.Context(), name, l.fresh(time.Second)); !found || err != nil {
				t.Errorf("%s is found: %v, error %v", name, found, err)
			}
		}
		time.Sleep(time.Second)
		l.lookup(t.Context(), "a", l.fresh(time.Second))
		if requests != 2 {
			t.Errorf("%d requests, want one for the names and one when they were stale", requests)
		}
	})
}

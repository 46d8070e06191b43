package remote

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fakeWatcher tells of what a test has changed.
type fakeWatcher struct {
	changed chan struct{}
	all     bool
}

func (w *fakeWatcher) prepare(context.Context) (bool, error) { return w.all, nil }
func (w *fakeWatcher) changes() <-chan struct{}              { return w.changed }
func (w *fakeWatcher) close()                                {}

// TestWhenFollowRuns holds what makes it run again, and when.
func TestWhenFollowRuns(t *testing.T) {
	lost := &Error{Code: Unreachable}
	for _, test := range []struct {
		name    string
		all     bool
		results []error       // of the runs; a NotFound is one of a file
		change  time.Duration // the changes come so often, 0 is never
		want    []time.Duration
	}{
		{"nothing has changed", true, []error{nil}, 0, []time.Duration{0}},
		{"after failures", true, []error{&Error{Code: NotFound}, nil}, 0, []time.Duration{0, time.Minute}},
		{"a lost link", true, []error{nil, lost, lost, nil}, time.Hour,
			[]time.Duration{0, time.Hour + DefaultQuiet, time.Hour + DefaultQuiet + time.Second, time.Hour + DefaultQuiet + 2*time.Second}},
		{"not all is watched", false, []error{nil, nil, nil}, 0, []time.Duration{0, 10 * time.Second, 20 * time.Second}},
		{"changes without end", true, []error{nil, nil}, DefaultQuiet / 2, []time.Duration{0, DefaultQuiet/2 + 10*DefaultQuiet}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { followRuns(t, test.all, test.results, test.change, test.want) })
		})
	}
}

func followRuns(t *testing.T, all bool, results []error, change time.Duration, want []time.Duration) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Hour-time.Second)
	defer cancel()
	w := &fakeWatcher{changed: make(chan struct{}, 1), all: all}
	if change > 0 {
		var changing sync.WaitGroup
		defer changing.Wait()
		changing.Go(func() {
			for ctx.Err() == nil {
				select {
				case <-time.After(change):
					signalChange(w.changed)
				case <-ctx.Done():
				}
			}
		})
	}
	begun := time.Now()
	var got []time.Duration
	err := follow(ctx, w, &FollowOptions{}, func(context.Context) (sum Summary, err error) {
		if len(got) == len(results) {
			return sum, nil
		}
		err = results[len(got)]
		if got = append(got, time.Since(begun)); errors.Is(err, NotFound) {
			sum.Failed = 1
		}
		return sum, err
	})
	if err != nil {
		t.Errorf("it ended with %v", err)
	}
	if len(got) != len(want) {
		t.Fatalf("it ran after %v, want %v", got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("it ran after %v, want %v", got, want)
			break
		}
	}
}

// TestFollowEnds with the error of a run that could do nothing.
func TestFollowEnds(t *testing.T) {
	w := &fakeWatcher{changed: make(chan struct{}, 1), all: true}
	err := follow(t.Context(), w, &FollowOptions{}, func(context.Context) (Summary, error) {
		return Summary{}, &Error{Code: NotDirectory}
	})
	if !errors.Is(err, NotDirectory) {
		t.Errorf("it ended with %v", err)
	}
}

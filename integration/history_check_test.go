package integration

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/remofile/remofile/remote"
)

var model = porcupine.Model{
	Init: func() any { return state{} },
	Step: func(s, a, o any) (bool, any) { return s.(state).step(a.(action), o.(reply)) },
	Partition: func(history []porcupine.Operation) (places [][]porcupine.Operation) {
		byPlace := make(map[string][]porcupine.Operation)
		for _, op := range history {
			place := op.Input.(action).place
			byPlace[place] = append(byPlace[place], op)
		}
		for _, ops := range byPlace {
			places = append(places, ops)
		}
		return places
	},
}

// checkTime bounds the check of a history. Those of the tests take a part of a second.
const checkTime = 60 * time.Second

// checkHistory returns why a history is not linearizable. That it can't be told in
// checkTime is an error, too.
func checkHistory(history []porcupine.Operation) error {
	for _, place := range model.Partition(history) {
		alone := model
		alone.Partition = nil
		result, info := porcupine.CheckOperationsVerbose(alone, place, checkTime)
		if result != porcupine.Ok {
			return fmt.Errorf("the history of %s is %s, about here:\n%s", place[0].Input.(action).place, result,
				describeHistory(unexplained(place, info)))
		}
	}
	return inUseTruly(history)
}

// unexplained returns the first actions that no order was found for, and those at the same
// time and shortly before.
func unexplained(ops []porcupine.Operation, info porcupine.LinearizationInfo) []porcupine.Operation {
	var longest []porcupine.Operation
	for _, partial := range info.PartialLinearizationsOperations()[0] {
		if len(partial) > len(longest) {
			longest = partial
		}
	}
	explained := func(op porcupine.Operation) bool { return slices.Contains(longest, op) }
	rest := slices.DeleteFunc(slices.Clone(ops), explained)
	first := slices.MinFunc(rest, func(a, b porcupine.Operation) int { return cmp.Compare(a.Return, b.Return) })
	long := 2 * (first.Return - first.Call)
	elsewhen := func(op porcupine.Operation) bool { return op.Return < first.Call-long || op.Call > first.Return }
	return slices.DeleteFunc(slices.Clone(ops), elsewhen)
}

// inUseTruly returns an error unless to each upload that was refused as in use, or displaced,
// there was another one of the same name under way.
func inUseTruly(history []porcupine.Operation) error {
	for _, refused := range history {
		if r := refused.Output.(reply).result; r != inUse && r != displaced {
			continue
		}
		a := refused.Input.(action)
		user := func(op porcupine.Operation) bool {
			b := op.Input.(action)
			return b.kind == put && b.place == a.place && b.slot == a.slot && b.content != a.content &&
				op.Call <= refused.Return && op.Return >= refused.Call
		}
		if !slices.ContainsFunc(history, user) {
			return fmt.Errorf("nobody uses what is in use:\n%s", describeHistory([]porcupine.Operation{refused}))
		}
	}
	return nil
}

func describeHistory(ops []porcupine.Operation) string {
	slices.SortFunc(ops, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	var b strings.Builder
	for _, op := range ops {
		until := fmt.Sprintf("%9d", op.Return/1000)
		if op.Return == unending {
			until = "        ?"
		}
		o := op.Output.(reply)
		fmt.Fprintf(&b, "%9d to %s us, client %2d: %v: %s", op.Call/1000, until, op.ClientId, op.Input, o.result)
		if o.content != absent {
			fmt.Fprintf(&b, " %d", o.content)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// told is one line of a history.
func told(client int, call, ret int64, kind kind, s slot, c content, r result) porcupine.Operation {
	a := action{kind: kind, place: "place", slot: s}
	o := reply{result: r}
	switch kind {
	case put:
		a.content = c
	case get, look:
		o.content = c
	case move:
		a.to = slot(c)
	}
	return porcupine.Operation{ClientId: client, Input: a, Output: o, Call: call, Return: ret}
}

// replacing makes an upload one that may replace.
func replacing(op porcupine.Operation) porcupine.Operation {
	a := op.Input.(action)
	a.replace = true
	op.Input = a
	return op
}

// TestTheCheckerFindsLies has short histories, true and false ones.
func TestTheCheckerFindsLies(t *testing.T) {
	const a, b, d, inD = slot(0), slot(1), slotD, slot(5)
	for _, c := range []struct {
		name    string
		history []porcupine.Operation
		lie     string // in the error; "" is none
	}{
		{name: "in order", history: []porcupine.Operation{
			told(1, 0, 1, put, a, 7, done), told(2, 2, 3, get, a, 7, done), told(1, 4, 5, remove, a, 0, done),
			told(2, 6, 7, look, a, absent, done), told(2, 8, 9, get, a, 0, notFound),
		}},
		{name: "an old content after the new one was seen", lie: "Illegal", history: []porcupine.Operation{
			told(1, 0, 1, put, a, 7, done), replacing(told(1, 2, 9, put, a, 8, done)),
			told(2, 3, 4, get, a, 8, done), told(3, 5, 6, get, a, 7, done),
		}},
		{name: "the old content as long as the new one was not seen", history: []porcupine.Operation{
			told(1, 0, 1, put, a, 7, done), replacing(told(1, 2, 9, put, a, 8, done)),
			told(2, 3, 4, get, a, 7, done), told(3, 5, 6, get, a, 8, done),
		}},
		{name: "a lost upload", lie: "Illegal", history: []porcupine.Operation{
			told(1, 0, 1, put, a, 7, done), told(2, 2, 3, look, a, absent, done),
		}},
		{name: "a name given twice", lie: "Illegal", history: []porcupine.Operation{
			told(1, 0, 5, put, a, 7, done), told(2, 0, 5, put, a, 8, done),
		}},
		{name: "a removal told twice", lie: "Illegal", history: []porcupine.Operation{
			told(1, 0, 1, put, a, 7, done), told(1, 2, 9, remove, a, 0, done), told(2, 2, 9, remove, a, 0, done),
		}},
		{name: "an unknown outcome is both", history: []porcupine.Operation{
			told(1, 0, unending, put, a, 7, unknown), told(1, 1, unending, put, b, 8, unknown),
			told(2, 2, 3, look, a, absent, done), told(2, 4, 5, look, a, 7, done), told(2, 6, 7, look, b, absent, done),
		}},
		{name: "an unknown outcome is not undone", lie: "Illegal", history: []porcupine.Operation{
			told(1, 0, unending, put, a, 7, unknown), told(2, 2, 3, look, a, 7, done), told(2, 4, 5, look, a, absent, done),
		}},
		{name: "a failure that changed something", lie: "Illegal", history: []porcupine.Operation{
			told(1, 0, 1, mkdir, a, 0, notFound), told(2, 2, 3, look, a, directory, done),
		}},
		{name: "both names in the midst of a renaming", lie: "Illegal", history: []porcupine.Operation{
			told(1, 0, 1, put, a, 7, done), told(1, 2, 9, move, a, content(b), done),
			told(2, 3, 4, look, b, 7, done), told(2, 5, 6, look, a, 7, done),
		}},
		{name: "a directory that is removed with what is in it", lie: "Illegal", history: []porcupine.Operation{
			told(1, 0, 1, mkdir, d, 0, done), told(1, 2, 3, put, inD, 7, done), told(1, 4, 5, remove, d, 0, done),
		}},
		{name: "a directory that is not empty", history: []porcupine.Operation{
			told(1, 0, 1, mkdir, d, 0, done), told(1, 2, 3, put, inD, 7, done), told(1, 4, 5, remove, d, 0, notEmpty),
		}},
		{name: "in use by another", history: []porcupine.Operation{
			told(1, 0, 5, put, a, 7, done), told(2, 1, 2, put, a, 8, inUse),
		}},
		{name: "in use by nobody", lie: "nobody uses", history: []porcupine.Operation{
			told(1, 0, 1, put, a, 7, done), told(2, 2, 3, put, a, 8, inUse),
		}},
	} {
		err := checkHistory(c.history)
		if c.lie == "" && err != nil || c.lie != "" && (err == nil || !strings.Contains(err.Error(), c.lie)) {
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.lie)
		}
	}
}

// TestTheCheckerFindsOneLie has histories of a server that does one thing after the other.
// With one answer changed, to what is no answer at all, or told to another upload, it is
// not linearizable.
func TestTheCheckerFindsOneLie(t *testing.T) {
	rnd := rand.New(rand.NewPCG(testSeed(t), 0))
	for range 50 {
		history := modelHistory(rnd, 200)
		if err := checkHistory(history); err != nil {
			t.Fatalf("a true history: %v", err)
		}
		finds := func(op porcupine.Operation) bool {
			return op.Input.(action).kind == get && op.Output.(reply).result == done
		}
		i := slices.IndexFunc(history, finds)
		if i < 0 {
			continue
		}
		history[i].Output = reply{done, history[i].Output.(reply).content + 1000}
		if err := checkHistory(history); err == nil {
			t.Fatal("a content that nobody has uploaded is not found")
		}
	}
}

// modelHistory returns what clients are told by the model itself: each action is done at a
// moment between its call and its return.
func modelHistory(rnd *rand.Rand, n int) (history []porcupine.Operation) {
	var s state
	for i := range n {
		a := action{
			kind:  []kind{put, create, mkdir, remove, move, get, look}[rnd.IntN(7)],
			place: "place", slot: slot(rnd.IntN(slots)), to: slot(rnd.IntN(3)), how: remote.RenameMode(rnd.IntN(3)), replace: rnd.IntN(2) == 0,
		}
		if a.kind == put {
			a.content = content(i + 1)
		}
		if (a.slot == slotD || a.slot == slotE) && (a.kind == put || a.kind == create || a.kind == move) {
			continue // they are directories only
		}
		after, o := s.do(a)
		s = after
		moment := int64(100 * i)
		history = append(history, porcupine.Operation{
			ClientId: i % 3, Input: a, Output: o, Call: moment - rnd.Int64N(150), Return: moment + rnd.Int64N(150),
		})
	}
	return history
}

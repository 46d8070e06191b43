package integration

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// A history is what clients asked of a server, and were told, at the same time. It is
// linearizable if there is an order in which a server that does one thing after the other
// could have given the same answers, each at some moment between question and answer.
//
// The model knows places: directories in which the same few names are used. No action
// touches two places, so that each is checked alone.

// slot is a name in a place.
type slot int

// names of the slots. What is in d or e comes behind it. All but d and e can be files or
// empty directories, and be renamed to each other; d and e are directories only, and keep
// their names: to rename a directory while others are on their way into it has results that
// no order of paths explains, on any file system.
var slotNames = [...]string{"a", "b", "c", "d", "e", "d/a", "d/b", "e/a", "e/b"}

const slots = len(slotNames)

const (
	slotD, slotE slot = 3, 4
	noSlot       slot = -1 // the place itself
)

func (s slot) String() string {
	if s == noSlot {
		return "."
	}
	return slotNames[s]
}

// parent returns the directory that a slot is in.
func (s slot) parent() slot {
	switch {
	case s > slotE+2:
		return slotE
	case s > slotE:
		return slotD
	default:
		return noSlot
	}
}

// children returns the slots in a directory.
func (s slot) children() (children []slot) {
	for c := range slot(slots) {
		if c.parent() == s {
			children = append(children, c)
		}
	}
	return children
}

// content is what a slot holds: the number of an upload, each of which has bytes of its
// own, or one of these.
type content int

const (
	absent    content = 0
	directory content = -1
	empty     content = -2 // a file that was created empty
)

// size returns how many bytes a file has. No other upload has as many.
func (c content) size() int64 {
	if c == empty {
		return 0
	}
	return 11 + 7*int64(c)
}

// contentOfSize is the inverse of size. Of a size that no upload has it makes a number
// that none has.
func contentOfSize(size int64) content {
	switch {
	case size == 0:
		return empty
	case size > 11 && (size-11)%7 == 0:
		return content((size - 11) / 7)
	default:
		return -3
	}
}

// bytes returns the content of an upload.
func (c content) bytes() []byte {
	if c == empty {
		return nil
	}
	text := fmt.Sprintf("upload %d. ", c)
	return []byte(strings.Repeat(text, int(c.size())/len(text)+1)[:c.size()])
}

// action is what a client asks for.
type action struct {
	kind    kind
	place   string
	slot    slot
	to      slot    // of move
	content content // of put
	replace bool    // of put
}

type kind string

const (
	put    kind = "put"    // uploads
	create kind = "create" // makes an empty file
	mkdir  kind = "mkdir"
	remove kind = "remove" // a file or an empty directory
	move   kind = "move"   // renames
	get    kind = "get"    // downloads
	look   kind = "look"   // stat, or one name of a listing
)

func (a action) String() string {
	s := fmt.Sprintf("%s %s/%v", a.kind, a.place, a.slot)
	switch {
	case a.kind == move:
		s += fmt.Sprintf(" to %v", a.to)
	case a.kind == put && a.replace:
		s += fmt.Sprintf(" %d, replacing", a.content)
	case a.kind == put:
		s += fmt.Sprintf(" %d", a.content)
	}
	return s
}

// reply is what a client was told.
type reply struct {
	result  result
	content content // that get and look found
}

type result string

const (
	done         result = "done"
	notFound     result = "not found"
	exists       result = "exists"
	notAFile     result = "not a file"
	notDirectory result = "not a directory"
	notEmpty     result = "not empty"
	inUse        result = "in use" // by another upload; nothing was done
	unknown      result = "unknown"
)

// state is a place: what each slot holds.
type state [slots]content

// do returns what a server says to an action, and the state after it.
func (s state) do(a action) (state, reply) {
	held := s[a.slot]
	inDirectory := func(at slot) bool { return at.parent() == noSlot || s[at.parent()] == directory }
	switch a.kind {
	case look:
		return s, reply{done, held}
	case get:
		switch held {
		case absent:
			return s, reply{result: notFound}
		case directory:
			return s, reply{result: notAFile}
		}
		return s, reply{done, held}
	case put, create, mkdir:
		mayReplace := a.kind == put && a.replace && held != directory
		switch {
		case !inDirectory(a.slot):
			return s, reply{result: notFound}
		case held != absent && !mayReplace:
			return s, reply{result: exists}
		}
		s[a.slot] = map[kind]content{put: a.content, create: empty, mkdir: directory}[a.kind]
	case remove:
		holds := func(child slot) bool { return s[child] != absent }
		switch {
		case held == absent:
			return s, reply{result: notFound}
		case slices.ContainsFunc(a.slot.children(), holds):
			return s, reply{result: notEmpty}
		}
		s[a.slot] = absent
	case move:
		replaced := s[a.to]
		switch {
		case held == absent || !inDirectory(a.to):
			return s, reply{result: notFound}
		case replaced == directory && held != directory:
			return s, reply{result: notAFile}
		case replaced != absent && replaced != directory && held == directory:
			return s, reply{result: notDirectory}
		}
		s[a.slot] = absent
		s[a.to] = held
	}
	return s, reply{result: done}
}

// step is do for an outcome that was told: it may have been that. Of what is unknown it
// says that it was done; the history has it return at the end of all, and so leaves the
// moment to it when it is too late to be seen.
func (s state) step(a action, told reply) (bool, state) {
	after, said := s.do(a)
	switch told.result {
	case unknown:
		return true, after
	case inUse:
		return a.kind == put, s
	default:
		return said == told, after
	}
}

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

// inUseTruly returns an error unless to each upload that was refused as in use there was
// another one of the same name under way.
func inUseTruly(history []porcupine.Operation) error {
	for _, refused := range history {
		if refused.Output.(reply).result != inUse {
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

package integration

import (
	"fmt"
	"slices"
	"strings"

	"github.com/remofile/remofile/remote"
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
	to      slot // of move
	how     remote.RenameMode
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
		s += fmt.Sprintf(" to %v, mode %d", a.to, a.how)
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
	inUse        result = "in use"    // by another upload; nothing was done
	displaced    result = "displaced" // by another one while the link was lost; nothing was done
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
		case held == absent || !inDirectory(a.to) || a.how == remote.RenameExchange && replaced == absent:
			return s, reply{result: notFound}
		case a.how == remote.RenameExchange:
			s[a.slot], s[a.to] = replaced, held
			return s, reply{result: done}
		case a.how == remote.RenameKeep && replaced != absent:
			return s, reply{result: exists}
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
	case inUse, displaced:
		return a.kind == put, s
	default:
		return said == told, after
	}
}

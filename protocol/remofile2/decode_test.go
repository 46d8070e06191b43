package remofile2

import (
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestPrefixesAreRefused holds that no message can be taken for a shorter one.
func TestPrefixesAreRefused(t *testing.T) {
	for _, m := range goldenMessages() {
		for n := range m.bytes {
			v, err := m.decode(m.bytes[:n])
			if err == nil {
				t.Errorf("%s: the first %d bytes are taken for %+v", m.name, n, v)
			}
			if r, ok := m.value.(Request); ok {
				checkRequestError(t, m.name, err, r.ID)
			}
		}
	}
}

// checkRequestError checks that err tells a server what to do: answer the request of that
// id, or end the connection.
func checkRequestError(t *testing.T, name string, err error, id uint64) {
	t.Helper()
	var e *RequestError
	if !errors.As(err, &e) || e.ID != 0 && e.ID != id || e.Code != CodeBadRequest || e.Error() == "" {
		t.Errorf("%s: error %#v", name, err)
	}
}

// TestLaterVersionsElementsAreIgnored adds to the end of each message what a later version might.
func TestLaterVersionsElementsAreIgnored(t *testing.T) {
	later := "\x18\x2a" + "\x62\xc3\xa9" + "\x82\xf5\xa1\x61x\x41\xff" // 42, "é", [true, {"x": h'ff'}]
	for _, m := range goldenMessages() {
		if m.name == "size" {
			continue
		}
		b := append(slices.Clone(m.bytes), later...)
		b[0] += 3
		if got, err := m.decode(b); err != nil || !reflect.DeepEqual(got, m.value) {
			t.Errorf("%s: %+v, not %+v, error %v", m.name, got, m.value, err)
		}
	}
	attr := "\x8b\x01\x02\x03\x04\x05\x06\x07\x08\x09" + "\x42xy\x80"
	decoded := Attr{KindDirectory, 3, 2, 4, 5, 9, 6, 7, 8}
	for _, test := range []struct {
		op   Operation
		hex  string
		want Answer
	}{
		{OpStat, "\x83\x01\x00" + attr, Answer{ID: 1, Attr: decoded}},
		{OpList, "\x84\x01\x00\x40\x82\x83\x41a" + attr + "\xf4\x82\x41b" + attr, Answer{ID: 1, Entries: []Entry{{"a", decoded}, {"b", decoded}}}},
		{OpAttach, "\x86\x01\x00\x40\x40\xf5\xa3\x65grace\x07\x61x\x81\x01\x05\xa0", Answer{ID: 1, Resumed: true, Info: Info{Grace: 7}}},
	} {
		if got, err := DecodeAnswer(test.op, []byte(test.hex)); err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%v: %+v, not %+v, error %v", test.op, got, test.want, err)
		}
	}
	got, err := DecodeRequest([]byte("\x85\x01\x07\x03\x00\xa3\x09\x80\x02\x03\x61x\x01"))
	if want := (Request{ID: 1, Operation: OpSet, Handle: 3, Changes: Changes{Mode: new(uint16(3))}}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("changes: %+v, not %+v, error %v", got, want, err)
	}
}

// TestLaterVersionsNumbers is about operations, codes and events that this version does
// not know.
func TestLaterVersionsNumbers(t *testing.T) {
	for _, op := range []Operation{0, OpChunks + 1, math.MaxUint16} {
		_, err := DecodeRequest(AppendRequest(nil, &Request{ID: 77, Operation: op}))
		if e, ok := err.(*RequestError); !ok || e.ID != 77 || e.Code != CodeUnknownOperation {
			t.Errorf("operation %d: error %#v", op, err)
		}
	}
	answer := Answer{ID: 1, Code: 99, Message: "new"}
	if got, err := DecodeAnswer(OpRead, AppendAnswer(nil, OpRead, &answer)); err != nil || !reflect.DeepEqual(got, answer) {
		t.Errorf("code 99: %+v, error %v", got, err)
	}
	if got, err := DecodeNotice([]byte("\x83\x00\x18\x63\xa0")); err != nil || got.Event != 99 {
		t.Errorf("event 99: %+v, error %v", got, err)
	}
}

// TestLongerFormsAreTaken is about what other CBOR libraries send.
func TestLongerFormsAreTaken(t *testing.T) {
	b := []byte("\x98\x05" + "\x1b\x00\x00\x00\x00\x00\x00\x00\x01" + "\x18\x07" + "\x59\x00\x02/a" + "\x19\x00\x01" + "\xb8\x02\x18\x02\x00\x01\x1a\x00\x00\x00\x05")
	want := Request{ID: 1, Operation: OpSet, Path: "/a", Flags: SetFollow, Changes: Changes{Size: new(int64(5)), Mode: new(uint16(0))}}
	if got, err := DecodeRequest(b); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, not %+v, error %v", got, want, err)
	}
}

// TestRefusedRequests is about requests that break the specification, and the
// answers to them.
func TestRefusedRequests(t *testing.T) {
	long := strings.Repeat("x", 256)
	for _, test := range []struct {
		name, bytes string
		id          uint64 // 0: there is no answer
		code        Code
	}{
		{"nothing", "", 0, CodeBadRequest},
		{"an empty array", "\x80", 0, CodeBadRequest},
		{"no array", "\x01", 0, CodeBadRequest},
		{"an empty array before an id", "\x80\x05\x02", 0, CodeBadRequest},
		{"a map", "\xa1\x01\x02", 0, CodeBadRequest},
		{"an array of indefinite length", "\x9f\x01\x02\xff", 0, CodeBadRequest},
		{"a reserved head", "\x9c\x01\x02", 0, CodeBadRequest},
		{"a text as id", "\x82\x61\x31\x02", 0, CodeBadRequest},
		{"an id alone", "\x81\x05", 5, CodeBadRequest},
		{"an operation that is text", "\x82\x05\x61\x32", 5, CodeBadRequest},
		{"a negative operation", "\x82\x05\x21", 5, CodeBadRequest},
		{"bytes behind the array", "\x82\x05\x02\x00", 5, CodeBadRequest},
		{"a missing argument", "\x84\x05\x13\x03\x00", 5, CodeBadRequest},
		{"bytes of indefinite length", "\x83\x05\x18\x1b\x5f\x41/\xff", 5, CodeBadRequest},
		{"a tag", "\x83\x05\x18\x1b\xc1\x41/", 5, CodeBadRequest},
		{"a text as path", "\x83\x05\x18\x1b\x61/", 5, CodeBadRequest},
		{"a float as offset", "\x84\x05\x14\x03\xf9\x00\x00", 5, CodeBadRequest},
		{"a path as handle", "\x84\x05\x14\x41/\x00", 5, CodeBadRequest},
		{"null as size", "\x85\x05\x07\x03\x00\xa1\x01\xf6", 5, CodeBadRequest},
		{"a float as size", "\x85\x05\x07\x03\x00\xa1\x01\xf9\x00\x00", 5, CodeBadRequest},
		{"text as size", "\x85\x05\x07\x03\x00\xa1\x01\x611", 5, CodeBadRequest},
		{"a negative size", "\x85\x05\x07\x03\x00\xa1\x01\x20", 5, CodeBadRequest},
		{"a size of 2^63", "\x85\x05\x07\x03\x00\xa1\x01\x1b\x80\x00\x00\x00\x00\x00\x00\x00", 5, CodeBadRequest},
		{"a mode with set-uid", "\x85\x05\x07\x03\x00\xa1\x02\x19\x08\x00", 5, CodeBadRequest},
		{"a time of 2^63", "\x85\x05\x07\x03\x00\xa1\x03\x1b\x80\x00\x00\x00\x00\x00\x00\x00", 5, CodeBadRequest},
		{"a key twice", "\x85\x05\x07\x03\x00\xa2\x01\x00\x01\x00", 5, CodeBadRequest},
		{"an unknown key twice", "\x85\x05\x07\x03\x00\xa2\x09\x00\x09\x00", 5, CodeBadRequest},
		{"changes in an array", "\x85\x05\x07\x03\x00\x80", 5, CodeBadRequest},
		{"an unknown float", "\x83\x05\x02\xfb\x00\x00\x00\x00\x00\x00\x00\x00", 5, CodeBadRequest},
		{"an unknown null", "\x83\x05\x02\xf6", 5, CodeBadRequest},
		{"an unknown simple value", "\x83\x05\x02\xf8\x20", 5, CodeBadRequest},
		{"unknown text that is not UTF-8", "\x83\x05\x02\x61\xff", 5, CodeBadRequest},
		{"features that are not UTF-8", "\x85\x05\x01\x40\x40\x81\x61\xff", 5, CodeBadRequest},
		{"an empty feature", "\x85\x05\x01\x40\x40\x81\x60", 5, CodeBadRequest},
		{"a boundless list", "\x85\x05\x01\x40\x40\x9b\x00\x00\x00\xff\xff\xff\xff\xff", 5, CodeBadRequest},
		{"a session of 15 bytes", "\x85\x05\x01\x4f" + long[:15] + "\x40\x80", 5, CodeBadRequest},
		{"a part of 65 bytes", encoded(Request{ID: 5, Operation: OpStage, Path: "/a", Part: long[:65]}), 5, CodeBadRequest},
		{"no block", encoded(Request{ID: 5, Operation: OpDigest, Length: 1}), 5, CodeBadRequest},
		{"a range beyond 2^63-1", encoded(Request{ID: 5, Operation: OpRead, Offset: math.MaxInt64, Length: 1}), 5, CodeBadRequest},
		{"a copy to beyond 2^63-1", encoded(Request{ID: 5, Operation: OpCopy, ToOffset: 2, Length: math.MaxInt64 - 1}), 5, CodeBadRequest},
		{"a relative path", encoded(Request{ID: 5, Operation: OpWatch, Path: "a"}), 5, CodeBadRequest},
		{"an empty target", encoded(Request{ID: 5, Operation: OpSymlink, Path: "/a"}), 5, CodeBadRequest},
		{"a cursor with a slash", encoded(Request{ID: 5, Operation: OpList, Path: "/a", Cursor: "a/b"}), 5, CodeBadRequest},
		{"a long name", encoded(Request{ID: 5, Operation: OpWatch, Path: "/" + long}), 5, CodeNameTooLong},
		{"a long path", encoded(Request{ID: 5, Operation: OpWatch, Path: longPath(MaxPath + 1)}), 5, CodeNameTooLong},
		{"a deep path", encoded(Request{ID: 5, Operation: OpWatch, Path: strings.Repeat("/a", MaxPathNames+1)}), 5, CodeNameTooLong},
		{"a long cursor", encoded(Request{ID: 5, Operation: OpList, Path: "/a", Cursor: long}), 5, CodeNameTooLong},
		{"a long target", encoded(Request{ID: 5, Operation: OpSymlink, Path: "/a", Target: strings.Repeat("a", MaxTarget+1)}), 5, CodeNameTooLong},
	} {
		r, err := DecodeRequest([]byte(test.bytes))
		if e, ok := err.(*RequestError); !ok || e.ID != test.id || e.Code != test.code {
			t.Errorf("%s: %+v, error %#v", test.name, r, err)
		}
	}
	for op := range operations {
		r := Request{ID: 5, Operation: Operation(op), Path: "/a", ToPath: "/b", Flags: operations[op].flags + 1}
		if _, err := DecodeRequest(AppendRequest(nil, &r)); operations[op].flags != 0 && err == nil {
			t.Errorf("%v: an unknown flag is taken", r.Operation)
		}
	}
}

func encoded(r Request) string { return string(AppendRequest(nil, &r)) }

// TestLimits holds that headers at the limits of the specification are taken and those beyond
// are not.
func TestLimits(t *testing.T) {
	const request, answer, notice = "\x83\x01\x02", "\x83\x01\x00", "\x84\x00\x02\x41/"
	nested := func(depth int) string { return strings.Repeat("\x81", depth) + "\x00" }
	zeros := func(major byte, n, each int) string {
		return string(append(appendHead(nil, major, uint64(n)), make([]byte, n*each)...))
	}
	for _, test := range []struct {
		name           string
		decode         func([]byte) (any, error)
		within, beyond string
	}{
		{"bytes of a request", decodeRequest, padded(request, MaxRequest), padded(request, MaxRequest+1)},
		{"bytes of an answer", decodeAnswer(OpGoodbye), padded(answer, MaxAnswer), padded(answer, MaxAnswer+1)},
		{"bytes of a notice", decodeNotice, padded(notice, MaxAnswer), padded(notice, MaxAnswer+1)},
		{"nesting", decodeRequest, request + nested(maxNesting-1), request + nested(maxNesting)},
		{"elements", decodeRequest, request + zeros(majorArray, maxElements, 1), request + zeros(majorArray, maxElements+1, 1)},
		{"keys", decodeRequest, request + zeros(majorMap, maxPairs, 2), request + zeros(majorMap, maxPairs+1, 2)},
	} {
		if _, err := test.decode([]byte(test.within)); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if _, err := test.decode([]byte(test.beyond)); err == nil {
			t.Errorf("%s: more than the limit is taken", test.name)
		}
	}
	longest := Request{ID: MaxID, Operation: OpRename, Path: longPath(MaxPath), ToPath: longPath(MaxPath), Flags: RenameKeep}
	if got, err := DecodeRequest(AppendRequest(nil, &longest)); err != nil || !reflect.DeepEqual(got, longest) {
		t.Errorf("two paths of the greatest length: %v", err)
	}
}

// padded returns a header of n bytes that begins with start, whose last element is unknown.
func padded(start string, n int) string {
	size := n - len(start) - 5
	b := appendHead([]byte(start), majorBytes, uint64(size))
	return string(append(b, make([]byte, size)...))
}

// TestRefusedAnswers is about what a server must not get away with.
func TestRefusedAnswers(t *testing.T) {
	const rest = "\x00\x00\x00\x00\x00\x00\x00\x00" // of an attr, behind its kind
	for _, test := range []struct {
		name  string
		op    Operation
		bytes string
	}{
		{"nothing", OpStat, ""},
		{"a notice", OpStat, "\x83\x00\x00\x89\x00" + rest},
		{"no code", OpStat, "\x81\x01"},
		{"no results", OpStat, "\x82\x01\x00"},
		{"a failure without a message", OpStat, "\x82\x01\x04"},
		{"a message that is not UTF-8", OpStat, "\x83\x01\x04\x61\xff"},
		{"a kind that there is not", OpStat, "\x83\x01\x00\x89\x07" + rest},
		{"an attr that is too short", OpStat, "\x83\x01\x00\x88\x00" + rest[1:]},
		{"an entry that leads elsewhere", OpList, "\x84\x01\x00\x40\x81\x82\x42..\x89\x00" + rest},
		{"an entry that is a path", OpList, "\x84\x01\x00\x40\x81\x82\x43a/b\x89\x00" + rest},
		{"an entry without a name", OpList, "\x84\x01\x00\x40\x81\x82\x40\x89\x00" + rest},
		{"more entries than fit", OpList, "\x84\x01\x00\x40\x99\x10\x00" + strings.Repeat("\x00", 0x1000)},
		{"a cursor that is a path", OpList, "\x84\x01\x00\x42/a\x80"},
		{"a number as resumed", OpAttach, "\x86\x01\x00\x40\x40\x00\xa0"},
		{"an info that is no map", OpAttach, "\x86\x01\x00\x40\x40\xf4\x80"},
		{"a negative limit", OpAttach, "\x86\x01\x00\x40\x40\xf4\xa1\x65grace\x20"},
		{"a negative count", OpRemove, "\x83\x01\x00\x20"},
	} {
		if a, err := DecodeAnswer(test.op, []byte(test.bytes)); err == nil {
			t.Errorf("%s is taken: %+v", test.name, a)
		}
	}
}

// TestKeysAreExact holds that a key is another one in other letters.
func TestKeysAreExact(t *testing.T) {
	a, err := DecodeAnswer(OpAttach, []byte("\x86\x01\x00\x40\x40\xf4\xa1\x65Grace\x07"))
	if err != nil || a.Info.Grace != 0 {
		t.Errorf("grace is %d, error %v", a.Info.Grace, err)
	}
}

// TestRefusedNotices is about what a server must not get away with.
func TestRefusedNotices(t *testing.T) {
	for name, b := range map[string]string{
		"nothing":                      "",
		"an answer":                    "\x83\x01\x02\x41/",
		"no event":                     "\x81\x00",
		"no directory":                 "\x82\x00\x02",
		"a directory that is relative": "\x83\x00\x02\x41a",
		"a name that leads elsewhere":  "\x84\x00\x01\x41/\x81\x42..",
		"more names than bytes":        "\x84\x00\x01\x41/\x9a\x00\x01\x00\x00",
	} {
		if n, err := DecodeNotice([]byte(b)); err == nil {
			t.Errorf("%s is taken: %+v", name, n)
		}
	}
}

func TestSize(t *testing.T) {
	for name, b := range map[string]string{
		"nothing": "", "2^63": "\x1b\x80\x00\x00\x00\x00\x00\x00\x00", "negative": "\x20", "bytes behind it": "\x00\x00", "text": "\x611",
	} {
		if n, err := DecodeSize([]byte(b)); err == nil {
			t.Errorf("%s is taken for %d", name, n)
		}
	}
	for _, want := range []int64{0, 23, 24, 255, 256, 65535, 65536, math.MaxUint32, math.MaxUint32 + 1, math.MaxInt64} {
		if got, err := DecodeSize(AppendSize(nil, want)); err != nil || got != want {
			t.Errorf("%d is %d, error %v", want, got, err)
		}
	}
}

// TestPeekID holds that an answer's request can be found, and notices told from answers, before
// the operation is known.
func TestPeekID(t *testing.T) {
	for _, m := range goldenMessages() {
		want := uint64(0)
		switch v := m.value.(type) {
		case int64:
			continue
		case Request:
			want = v.ID
		case Answer:
			want = v.ID
		}
		if id, err := PeekID(m.bytes); err != nil || id != want {
			t.Errorf("%s: %d, not %d, error %v", m.name, id, want, err)
		}
	}
	for _, b := range []string{"", "\x82", "\x01\x01", "\x9f\x01\x02\xff", "\x82\x20\x00", "\x82\x1b\x00\x20\x00\x00\x00\x00\x00\x00\x00"} {
		if id, err := PeekID([]byte(b)); err == nil {
			t.Errorf("% x has the id %d", b, id)
		}
	}
}

// TestNothingAliases holds that what was decoded stays when its bytes are used again.
func TestNothingAliases(t *testing.T) {
	for _, m := range goldenMessages() {
		b := slices.Clone(m.bytes)
		got, err := m.decode(b)
		clear(b)
		if err != nil || !reflect.DeepEqual(got, m.value) {
			t.Errorf("%s: %+v, not %+v, error %v", m.name, got, m.value, err)
		}
	}
}

// TestMessageOfAnyBytes holds that an error's text that holds a name which is not UTF-8 reaches
// the client.
func TestMessageOfAnyBytes(t *testing.T) {
	b := AppendAnswer(nil, OpStat, &Answer{ID: 1, Code: CodeNotFound, Message: "no \xff.txt"})
	if a, err := DecodeAnswer(OpStat, b); err != nil || a.Message != "no \uFFFD.txt" {
		t.Errorf("%q, error %v", a.Message, err)
	}
}

// TestListingOverhead holds what a server counts on when it fills a page.
func TestListingOverhead(t *testing.T) {
	e := Entry{strings.Repeat("x", MaxName), Attr{KindBlockDevice, maxMode, math.MaxInt64, math.MinInt64, math.MinInt64, math.MinInt64,
		math.MaxUint64, math.MaxUint64, math.MaxUint64}}
	if n := len(entryRule.append(nil, &e)) - MaxName; n != EntryOverhead {
		t.Errorf("an entry takes %d bytes besides its name", n)
	}
	page := Answer{ID: MaxID, Cursor: e.Name, Entries: slices.Repeat([]Entry{{Name: "a"}}, maxElements)}
	if n := len(AppendAnswer(nil, OpList, &page)) - 13*maxElements; n != ListOverhead {
		t.Errorf("a listing takes %d bytes besides its entries", n)
	}
}

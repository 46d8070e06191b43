package protocol

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestValidName(t *testing.T) {
	for _, name := range []string{"a", ".a", "..a", "...", "é ü.txt", "a b", "\xff\xfe", strings.Repeat("x", 255)} {
		if !ValidName(name) {
			t.Errorf("%q is refused", name)
		}
	}
	for _, name := range []string{"", ".", "..", "a/b", "/", "a<", ">", "a:b", `"`, `\`, "|", "?", "*", "a\x00b", strings.Repeat("x", 256)} {
		if ValidName(name) {
			t.Errorf("%q is accepted", name)
		}
	}
}

func TestCleanDirectory(t *testing.T) {
	for dir, want := range map[string]string{
		"": "/", "/": "/", "sub": "/sub", "/a//b/./c/": "/a/b/c", "/a/../b": "/a/../b", "..": "/..", ".": "/",
	} {
		if got := CleanDirectory(dir); got != want {
			t.Errorf("%q is %q, want %q", dir, got, want)
		}
	}
}

func TestSplitPath(t *testing.T) {
	for p, want := range map[string][2]string{
		"/": {"/", ""}, "/a": {"/", "a"}, "/a/b": {"/a", "b"}, "/a/b/": {"/a", "b"}, "/../a": {"/", "a"},
	} {
		if dir, name := SplitPath(p); dir != want[0] || name != want[1] {
			t.Errorf("%q is %q in %q, want %q", p, name, dir, want)
		}
	}
}

// TestWire holds the smallest form of each request against its bytes.
func TestWire(t *testing.T) {
	for _, test := range []struct {
		request Request
		want    string
	}{
		{Request{Type: ListFiles, Directory: "/"}, "\x80\x04K\x01\x8c\x01/\x86."},
		{Request{Type: CreateFile, Name: "a", Directory: "/"}, "\x80\x04K\x02\x8c\x01a\x8c\x01/\x87."},
		{Request{Type: UploadFile, Name: "a", Directory: "/", Size: 300, ChunkSize: 1 << 16}, "\x80\x04(K\x04\x8c\x01a\x8c\x01/M\x2c\x01J\x00\x00\x01\x00t."},
		{Request{Type: UploadFile, Name: "a", Directory: "/", Size: 1, ChunkSize: 1, Replace: true}, "\x80\x04(K\x04\x8c\x01a\x8c\x01/K\x01K\x01\x88t."},
		{Request{Type: SendChunk, Data: []byte("xyz")}, "\x80\x04K\x05C\x03xyz\x86."},
		{Request{Type: ReceiveChunk}, "\x80\x04K\x07\x85."},
		{Request{Type: RemoveFile, Name: "a", Directory: "/b"}, "\x80\x04K\x09\x8c\x01a\x8c\x02/b\x87."},
	} {
		b := AppendRequest(nil, &test.request)
		if string(b) != test.want {
			t.Errorf("%v: % x, want % x", test.request.Type, b, test.want)
		}
		for n := range b {
			if r, err := DecodeRequest(b[:n]); err == nil {
				t.Errorf("%v: the first %d bytes are taken for %v", test.request.Type, n, r)
			}
		}
		if r, err := DecodeRequest(b); err != nil || !reflect.DeepEqual(r, test.request) {
			t.Errorf("%v: decoded %+v, error %v", test.request.Type, r, err)
		}
	}
	chunk, err := AppendSendChunk(nil, 3, func(b []byte) error { copy(b, "xyz"); return nil })
	if err != nil || string(chunk) != "\x80\x04K\x05C\x03xyz\x86." {
		t.Errorf("a chunk written in place: % x, error %v", chunk, err)
	}
}

func TestListing(t *testing.T) {
	want := Response{Type: Accepted, Reason: FilesListed, Entries: []Entry{
		{Name: "a", Size: 1 << 40, Modified: time.Unix(1e9, 5e8)},
		{Name: "not UTF-8 \xff", Directory: true, Modified: time.Unix(-1, 0)},
	}}
	got, err := DecodeResponse(AppendResponse(nil, &want))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v, error %v", got, want, err)
	}
	for _, name := range []string{"", "..", ".", "a/b", "/etc/passwd", "a\x00"} {
		evil := Response{Type: Accepted, Reason: FilesListed, Entries: []Entry{{Name: name}}}
		if _, err := DecodeResponse(AppendResponse(nil, &evil)); err == nil {
			t.Errorf("a listing with %q is accepted", name)
		}
	}
}

// TestSpecificationNamesEveryNumber holds the package comment, which is the
// specification, against the constants.
func TestSpecificationNamesEveryNumber(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	for kind, names := range map[string][]string{"request": requestNames, "response": responseNames, "reason": reasonNames} {
		for i, name := range names {
			line := regexp.MustCompile(fmt.Sprintf(`(?m)^//\s.*\b%d\s+%s\b`, i+1, name))
			if !line.Match(doc) {
				t.Errorf("%s %d, %s, is not in the specification", kind, i+1, name)
			}
		}
	}
}

// size writes bytes as the package comment does.
func size(n int) string {
	for _, unit := range []struct {
		name string
		log  int
	}{{"GiB", 30}, {"MiB", 20}, {"KiB", 10}} {
		if n >= 1<<unit.log && n%(1<<unit.log) == 0 {
			return fmt.Sprint(n>>unit.log, " ", unit.name)
		}
	}
	return fmt.Sprint(n, " bytes")
}

// duration writes a time as the package comment does.
func duration(d time.Duration) string {
	if d%time.Second == 0 {
		return fmt.Sprint(int(d/time.Second), " s")
	}
	return fmt.Sprint(d.Milliseconds(), " ms")
}

// TestSpecificationNamesEveryLimit holds each number in the table of limits against
// its constant.
func TestSpecificationNamesEveryLimit(t *testing.T) {
	want := map[string][]any{
		"connections":      {MaxUnauthenticated},
		"time":             {duration(HandshakeTimeout)},
		"greeting":         {"64 bytes"}, // RFC 23/ZMTP
		"command":          {size(MaxCommand)},
		"token":            {size(MaxToken)},
		"free failures":    {FreeFailures},
		"delay":            {duration(DelayStep)},
		"longest delay":    {duration(MaxDelay)},
		"forgiveness":      {duration(ForgiveTime)},
		"addresses":        {MaxAddresses},
		"sessions":         {MaxSessions, MaxSessions},
		"message, server":  {size(MaxOverhead), size(MinMessageChunk)},
		"message, client":  {size(MaxOverhead), size(max(MaxListing, MaxChunkSize))},
		"frames a message": {MaxFrames},
		"requests":         {},
		"bytes under way":  {},
		"name":             {size(MaxName)},
		"directory":        {size(MaxDirectory)},
		"chunk":            {size(MaxChunkSize), size(DefaultMinChunkSize), size(DefaultMaxChunkSize)},
		"file":             {size(DefaultFileSizeLimit)},
		"listing":          {size(MaxListing)},
		"entries":          {MaxEntries},
		"long listings":    {MaxLongListings, size(LongListing), duration(ListingTimeout)},
		"sending":          {duration(WriteTimeout), size(WritePiece)},
		"vanished peer":    {duration(DeadTime)},
	}
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(doc), "# Limits\n")
	numbers := regexp.MustCompile(`\b\d+( (bytes|[KMG]iB|s|ms)\b)?`)
	found := make(map[string]bool)
	for _, row := range regexp.MustCompile(`(?m)^//\t  (\S+(?: \S+)*)(  .*)$`).FindAllStringSubmatch(table, -1) {
		name, text := row[1], row[2]
		found[name] = true
		if got, want := fmt.Sprint(numbers.FindAllString(text, -1)), fmt.Sprint(want[name]); got != want {
			t.Errorf("%s: the specification has %v, the constants are %v", name, got, want)
		}
	}
	for name := range want {
		if !found[name] {
			t.Errorf("%s is not in the specification", name)
		}
	}
}

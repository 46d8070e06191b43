package integration

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/remofile/remofile/protocol/remofile2"
)

// Golden conversations are kept in testdata/golden, in a directory for each version of
// Remofile 2 that peers may still speak, which has the name of the month when it came:
//
//	server.txt    a client asks for everything: today's server must answer as it did then
//	library.txt   what the library asked for: today's must get on with those answers
//
// The conversations of a new version are added, and the old ones stay as they are, by
//
//	go test ./integration -run Golden -record VERSION
//
// and then, in goldenUses, what the library does in the new library.txt.
//
// A file has a line for each message, and for the end of a connection:
//
//	1> HEADER PAYLOAD SIZE    from the client on its first connection, frames in hexadecimal
//	1< HEADER                 from the server
//	1x                        the connection is lost
//
// An empty frame is -, and a line that begins with ; is for people.
const (
	goldenDirectory     = "testdata/golden"
	serverConversation  = "server.txt"
	libraryConversation = "library.txt"
)

var record = flag.String("record", "", "record golden conversations of a new `version`")

// goldenLine is one line of a conversation.
type goldenLine struct {
	conn   int
	what   goldenEvent
	frames [][]byte
}

// goldenEvent is what a line tells.
type goldenEvent byte

const (
	goldenSent     goldenEvent = '>' // by the client
	goldenReceived goldenEvent = '<'
	goldenLost     goldenEvent = 'x'
)

// String returns the line.
func (l goldenLine) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d%c", l.conn, l.what)
	for _, f := range l.frames {
		text := hex.EncodeToString(f)
		if text == "" {
			text = "-"
		}
		b.WriteString(" " + text)
	}
	return b.String()
}

func parseGoldenLine(text string) (l goldenLine, err error) {
	first, frames, _ := strings.Cut(text, " ")
	last := len(first) - 1
	if last < 1 || !strings.Contains("><x", first[last:]) {
		return l, fmt.Errorf("line %q", text)
	}
	l.what = goldenEvent(first[last])
	if l.conn, err = strconv.Atoi(first[:last]); err != nil {
		return l, err
	}
	for _, frame := range strings.Fields(frames) {
		b, err := hex.DecodeString(strings.TrimPrefix(frame, "-"))
		if err != nil {
			return l, err
		}
		l.frames = append(l.frames, b)
	}
	return l, nil
}

// readGolden reads a conversation.
func readGolden(t *testing.T, name string) (lines []goldenLine) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	scanner := bufio.NewScanner(f)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		if scanner.Text() == "" || strings.HasPrefix(scanner.Text(), ";") {
			continue
		}
		l, err := parseGoldenLine(scanner.Text())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		lines = append(lines, l)
	}
	if err := scanner.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

// writeGolden writes a conversation that must be new.
func writeGolden(t *testing.T, name string, lines []goldenLine) {
	t.Helper()
	var b bytes.Buffer
	for _, l := range lines {
		if l.what == goldenSent {
			r, _ := remofile2.DecodeRequest(l.frames[0]) // it may be one that fails
			fmt.Fprintf(&b, "\n; %v %s\n", r.Operation, r.Path)
		}
		fmt.Fprintln(&b, l)
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(name); err == nil {
		t.Fatalf("%s is there already: a recorded conversation is never changed", name)
	}
	write(t, name, b.String())
}

// eachGolden runs a test for each recorded version, which gets its directory.
func eachGolden(t *testing.T, test func(t *testing.T, dir string)) {
	t.Helper()
	versions, err := os.ReadDir(goldenDirectory)
	if err != nil || len(versions) == 0 {
		t.Fatalf("no golden conversations; error %v", err)
	}
	for _, v := range versions {
		t.Run(v.Name(), func(t *testing.T) { test(t, filepath.Join(goldenDirectory, v.Name())) })
	}
}

// laterElement is an element that only a later version knows.
var laterElement = []byte("\x82\x01\x65later") // [1, "later"]

// withMore returns a header with another element at its end.
func withMore(header, element []byte) []byte {
	more := append(bytes.Clone(header), element...)
	more[0]++ // array of so many
	return more
}

// withLaterKey returns a header whose last element, an empty map, has a key that only a
// later version knows.
func withLaterKey(header []byte) []byte {
	last := len(header) - 1
	return append(bytes.Clone(header[:last]), append([]byte{0xa1, 0x18, 99}, laterElement...)...)
}

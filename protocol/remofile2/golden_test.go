package remofile2

import (
	"bytes"
	"encoding/hex"
	"maps"
	"math"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"
)

const (
	goldenFile    = "testdata/golden.txt"
	goldenTime    = Time(1700000000123456789)
	goldenSession = "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f"
	goldenSecret  = goldenSession + "\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f"
)

var (
	goldenAttr = Attr{Kind: KindFile, Size: 1234567, Mode: 0o644, Modified: goldenTime, Changed: goldenTime + 1,
		Links: 2, Device: 2049, Inode: 1 << 40}
	goldenFolder = Attr{Kind: KindDirectory, Size: 4096, Mode: 0o755, Modified: -1, Changed: math.MinInt64,
		Links: 3, Device: 2049, Inode: math.MaxUint64, Born: goldenTime}
	goldenInfo = Info{Version: "0.3.0", Protocol: 2, Features: []string{"zstd"}, Exclusive: true, FileSizeLimit: 1 << 32,
		Requests: 256, Bytes: 32 << 20, Payload: 1 << 20, Handles: 4096, Watches: 1024, Grace: 60}
	goldenStatus = Status{Started: goldenTime, Staged: 70000, Holder: "192.0.2.7:5000",
		Sessions: []Peer{{Peer: "192.0.2.7:5000", Since: goldenTime, Requests: 1, Watches: 2}}}
	allChanges = Changes{Size: new(int64(0)), Mode: new(uint16(0o600)), Modified: new(goldenTime), Accessed: new(-goldenTime)}
)

// goldenRequests are the requests of the golden file, by what their names say after "request".
var goldenRequests = map[string]Request{
	"ATTACH, a new session":         {ID: 1, Operation: OpAttach},
	"ATTACH":                        {ID: 2, Operation: OpAttach, Session: goldenSession, Secret: goldenSecret, Features: []string{"zstd", "naïve"}},
	"GOODBYE":                       {ID: 3, Operation: OpGoodbye},
	"STATUS":                        {ID: 4, Operation: OpStatus},
	"CANCEL":                        {ID: 5, Operation: OpCancel, Cancel: MaxID},
	"LIST":                          {ID: 6, Operation: OpList, Path: "/a", Length: 65536},
	"LIST, what follows":            {ID: 7, Operation: OpList, Path: "/a", Cursor: "\xff.txt", Length: 65536},
	"STAT":                          {ID: 8, Operation: OpStat, Path: "/a/b", Flags: StatFollow},
	"STAT, of a handle":             {ID: 9, Operation: OpStat, Handle: math.MaxUint32},
	"SET":                           {ID: 10, Operation: OpSet, Path: "/a/b", Flags: SetFollow, Changes: allChanges},
	"SET, nothing":                  {ID: 11, Operation: OpSet, Handle: 3},
	"MKDIR":                         {ID: 12, Operation: OpMkdir, Path: "/a", Mode: 0o755},
	"REMOVE":                        {ID: 13, Operation: OpRemove, Path: "/a", Flags: RemoveRecursive},
	"RENAME":                        {ID: 14, Operation: OpRename, Path: "/a", ToPath: "/b", Flags: RenameKeep},
	"LINK":                          {ID: 15, Operation: OpLink, Path: "/a", ToPath: "/b"},
	"SYMLINK":                       {ID: 16, Operation: OpSymlink, Path: "/a", Target: "../\xe9"},
	"READLINK":                      {ID: 17, Operation: OpReadlink, Path: "/a"},
	"SPACE":                         {ID: 18, Operation: OpSpace, Path: "/"},
	"OPEN":                          {ID: 19, Operation: OpOpen, Handle: 3, Path: "/a", Flags: OpenRead | OpenWrite | OpenCreate | OpenExclusive | OpenTruncate | OpenFollow, Mode: 0o640},
	"STAGE":                         {ID: 20, Operation: OpStage, Handle: 3, Path: "/a", Flags: StageReplace | StageReserve | StageResume, Mode: 0o640, Part: "part-1"},
	"STAGE, shared":                 {ID: 36, Operation: OpStage, Handle: 3, Path: "/a", Flags: StageReplace | StageShared, Mode: 0o640},
	"COMMIT":                        {ID: 21, Operation: OpCommit, Handle: 3, Flags: CommitSync | CommitKeep, Changes: Changes{Modified: new(goldenTime)}},
	"CLOSE":                         {ID: 22, Operation: OpClose, Handle: 3, Flags: CloseDiscard},
	"READ":                          {ID: 23, Operation: OpRead, Handle: 3, Offset: 1 << 32, Length: 1 << 20},
	"READ, to the last byte of all": {ID: 24, Operation: OpRead, Handle: 3, Offset: math.MaxInt64 - 24, Length: 24},
	"WRITE":                         {ID: 255, Operation: OpWrite, Handle: 3, Offset: 255},
	"APPEND":                        {ID: 256, Operation: OpAppend, Handle: 3},
	"SYNC":                          {ID: 65535, Operation: OpSync, Path: "/"},
	"SEEK":                          {ID: 65536, Operation: OpSeek, Handle: 3, Offset: 100, Flags: SeekHole},
	"ALLOCATE":                      {ID: math.MaxUint32, Operation: OpAllocate, Handle: 3, Length: 1 << 30, Flags: AllocateKeepSize | AllocateZero},
	"COPY":                          {ID: 1 << 32, Operation: OpCopy, Handle: 3, Offset: 24, ToHandle: 4, ToOffset: 23, Length: 1000},
	"DIGEST":                        {ID: MaxID, Operation: OpDigest, Handle: 3, Length: 1 << 30, Block: 1 << 17},
	"CHUNKS":                        {ID: 37, Operation: OpChunks, Handle: 3, Offset: 100, Length: 64 << 20, Exponent: 16},
	"WATCH":                         {ID: 34, Operation: OpWatch, Path: "/"},
	"UNWATCH":                       {ID: 35, Operation: OpUnwatch, Path: "/"},
}

// goldenAnswers are the answers of the golden file.
var goldenAnswers = map[string]Answer{
	"ATTACH":          {ID: 1, Session: goldenSession, Secret: goldenSecret, Resumed: true, Info: goldenInfo},
	"GOODBYE":         {ID: 3},
	"STATUS":          {ID: 4, Info: goldenInfo, Status: goldenStatus},
	"CANCEL":          {ID: 5},
	"LIST":            {ID: 6, Cursor: "b", Entries: []Entry{{"a", goldenAttr}, {"b", goldenFolder}}},
	"LIST, the end":   {ID: 7},
	"STAT":            {ID: 8, Attr: goldenAttr},
	"SET":             {ID: 10, Attr: goldenFolder},
	"MKDIR":           {ID: 12, Attr: goldenFolder},
	"REMOVE":          {ID: 13, Removed: math.MaxUint64},
	"RENAME":          {ID: 14},
	"LINK":            {ID: 15, Attr: goldenAttr},
	"SYMLINK":         {ID: 16, Attr: goldenAttr},
	"READLINK":        {ID: 17, Target: "../\xe9"},
	"SPACE":           {ID: 18, Space: Space{Total: 1 << 50, Free: 1 << 49, Available: 1 << 48, Files: 1 << 33, FreeFiles: 1 << 32}},
	"OPEN":            {ID: 19, Attr: goldenAttr},
	"STAGE":           {ID: 20, Attr: goldenAttr},
	"COMMIT":          {ID: 21, Attr: goldenAttr},
	"CLOSE":           {ID: 22},
	"READ":            {ID: 23},
	"WRITE":           {ID: 255},
	"APPEND":          {ID: 256, Offset: 1 << 20},
	"SYNC":            {ID: 65535},
	"SEEK":            {ID: 65536, Offset: 4096},
	"ALLOCATE":        {ID: math.MaxUint32},
	"COPY":            {ID: 1 << 32, Length: 1000},
	"DIGEST":          {ID: MaxID},
	"CHUNKS":          {ID: 37},
	"WATCH":           {ID: 34},
	"UNWATCH":         {ID: 35},
	"STAT, a failure": {ID: 8, Code: CodeNotFound, Message: "/a/b: no entry “b”"},
}

// goldenNotices are the notices of the golden file.
var goldenNotices = map[string]Notice{
	"CHANGED":           {Event: EventChanged, Directory: "/a", Names: []string{"b", "\xff"}},
	"CHANGED, anything": {Event: EventChanged, Directory: "/"},
	"GONE":              {Event: EventGone, Directory: "/a/b"},
}

// message is a golden message and what this version makes of its bytes.
type message struct {
	name   string
	bytes  []byte // what this version sends
	value  any    // what the message is
	decode func([]byte) (any, error)
}

// goldenMessages returns the messages of the golden file as this version has them.
func goldenMessages() []message {
	var all []message
	for name, r := range goldenRequests {
		all = append(all, message{"request " + name, AppendRequest(nil, &r), r, decodeRequest})
	}
	for name, a := range goldenAnswers {
		op := operationOf(name)
		all = append(all, message{"answer " + name, AppendAnswer(nil, op, &a), a, decodeAnswer(op)})
	}
	for name, n := range goldenNotices {
		all = append(all, message{"notice " + name, AppendNotice(nil, &n), n, decodeNotice})
	}
	all = append(all, message{"size", AppendSize(nil, 1<<20), int64(1 << 20), decodeSize})
	slices.SortFunc(all, func(a, b message) int { return strings.Compare(a.name, b.name) })
	return all
}

func decodeRequest(b []byte) (any, error) { return DecodeRequest(b) }
func decodeNotice(b []byte) (any, error)  { return DecodeNotice(b) }
func decodeSize(b []byte) (any, error)    { return DecodeSize(b) }
func decodeAnswer(op Operation) func([]byte) (any, error) {
	return func(b []byte) (any, error) { return DecodeAnswer(op, b) }
}

// operationOf returns the operation with which the name of a golden message begins.
func operationOf(name string) Operation {
	name, _, _ = strings.Cut(name, ",")
	return Operation(slices.IndexFunc(operations[:], func(o operation) bool { return o.name == name }))
}

// readGolden returns the bytes of the golden file's messages by their names.
func readGolden(t testing.TB) map[string][]byte {
	t.Helper()
	raw, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string][]byte)
	name := ""
	for line := range strings.Lines(string(raw)) {
		text, _, isField := strings.Cut(strings.TrimSpace(line), ";")
		switch {
		case !isField && text != "":
			name = text
			found[name] = []byte{}
		case text != "":
			field, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			found[name] = append(found[name], field...)
		}
	}
	return found
}

// TestGoldenMessages holds that this version sends and understands the golden file's bytes,
// which never change: versions meet by them.
func TestGoldenMessages(t *testing.T) {
	golden := readGolden(t)
	for _, m := range goldenMessages() {
		t.Run(m.name, func(t *testing.T) {
			want, there := golden[m.name]
			delete(golden, m.name)
			if !there {
				t.Fatalf("not in %s", goldenFile)
			}
			if !bytes.Equal(m.bytes, want) {
				t.Errorf("sent as\n% x, not\n% x", m.bytes, want)
			}
			if got, err := m.decode(want); err != nil || !reflect.DeepEqual(got, m.value) {
				t.Errorf("understood as\n%+v, not\n%+v, error %v", got, m.value, err)
			}
		})
	}
	for name := range golden {
		t.Errorf("%s of %s is unknown here", name, goldenFile)
	}
}

// TestGoldenFileHasEachKind holds that no operation, and no notice, is without golden bytes.
func TestGoldenFileHasEachKind(t *testing.T) {
	names := slices.Collect(maps.Keys(readGolden(t)))
	for op := OpAttach; int(op) < len(operations); op++ {
		for _, name := range []string{"request " + op.String(), "answer " + op.String()} {
			if !slices.Contains(names, name) {
				t.Errorf("%s is not in %s", name, goldenFile)
			}
		}
	}
	for e := EventChanged; int(e) < len(events); e++ {
		if name := "notice " + e.String(); !slices.Contains(names, name) {
			t.Errorf("%s is not in %s", name, goldenFile)
		}
	}
}

// TestPythonAgrees has another language's CBOR library encode and decode the golden file.
func TestPythonAgrees(t *testing.T) {
	cmd := exec.Command(python(t), "testdata/golden.py", goldenFile)
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// python returns a Python that has cbor2. Without one the test is skipped, but with CI=true it
// fails.
func python(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(name, "-c", "import cbor2").Run() == nil {
			return name
		}
	}
	const lacking = "no python3 with the module cbor2 (Debian: python3-cbor2)"
	if os.Getenv("CI") == "true" {
		t.Fatal(lacking)
	}
	t.Skip(lacking)
	return ""
}

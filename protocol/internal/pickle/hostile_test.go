package pickle_test

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/remofile/remofile/protocol/internal/pickle"
)

func TestRefused(t *testing.T) {
	huge := string(binary.LittleEndian.AppendUint64(nil, 1<<62))
	minus1 := strings.Repeat("\xff", 8)
	const (
		request = "cremofile.protocol\nRequest\n"
		getattr = "cbuiltins\ngetattr\n"
		encode  = "c_codecs\nencode\n"
		path    = "cpathlib\nPosixPath\n"
	)
	tests := []struct{ name, in, want string }{
		{"empty input", "", "1 bytes wanted"},
		{"no STOP", "N", "1 bytes wanted"},
		{"nothing at STOP", ".", "0 values"},
		{"two values at STOP", "NN.", "2 values"},
		{"open mark at STOP", "(N.", "1 marks"},
		{"bytes after STOP", "N.N", "1 bytes after"},
		{"second pickle", "N.N.", "2 bytes after"},
		{"protocol 6", "\x80\x06N.", "protocol 6"},
		{"PROTO in the middle", "N\x80\x04.", "not at the start"},

		{"pop from an empty stack", "\x85.", "too few values"},
		{"pop over a mark", "N(\x85.", "too few values"},
		{"tuple without a mark", "Nt.", "no mark"},
		{"append to a mark", "(Na.", "too few values"},
		{"append to None", "NNa.", "not a list"},
		{"set in a list", "]Va\nNs.", "not a dict"},
		{"key without a value", "}(Va\nu.", "without a value"},
		{"int as key", "}K\x01Ns.", "not a str"},
		{"tuple as key", "})Ns.", "not a str"},
		{"path as key", "}" + path + ")RNs.", "not a str"},

		{"bytes of 2^62", "\x8e" + huge, "4611686018427387904 bytes wanted, 0 are left"},
		{"str of 2^62", "\x8d" + huge, "bytes wanted"},
		{"frame of 2^62", "\x80\x04\x95" + huge, "frame of"},
		{"bytes of 2^64-1", "\x8e" + minus1, "bytes wanted"},
		{"bytes of 2^32-1", "B\xff\xff\xff\xff.", "bytes wanted"},

		{"str that is not UTF-8", "\x8c\x01\x80.", "not UTF-8"},
		{"high surrogate", "\x8c\x03\xed\xa0\x80.", "not UTF-8"},
		{"low surrogate of no byte", "\x8c\x03\xed\xb2\x7f.", "not UTF-8"},
		{"low surrogate above the bytes", "\x8c\x03\xed\xb4\x80.", "not UTF-8"},
		{"cut surrogate", "\x8c\x02\xed\xb2.", "not UTF-8"},
		{"escaped surrogate", "V\\ud800\n.", "raw-unicode-escape"},
		{"escaped surrogate of ASCII", "V\\udc2f\n.", "raw-unicode-escape"},
		{"short escape", "V\\u004\n.", "raw-unicode-escape"},
		{"escape with a sign", "V\\u+041\n.", "raw-unicode-escape"},
		{"escape above Unicode", "V\\U00110000\n.", "raw-unicode-escape"},
		{"line without an end", "Vabc.", "line without"},

		{"2^63", "\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x80\x00.", "9 bytes"},
		{"2^63, decimal", "L9223372036854775808L\n.", "64 bits"},
		{"long of 255 bytes", "\x8a\xff" + strings.Repeat("\x01", 255) + ".", "255 bytes"},
		{"long of 4-byte length", "\x8b\x01\x00\x00\x00\x01.", "not allowed"},
		{"long of 100,000 digits", "L" + strings.Repeat("9", 100_000) + "L\n.", "100001 characters"},
		{"octal", "I011\n.", "64 bits"},
		{"no digits", "I\n.", "64 bits"},
		{"float of 100,000 digits", "F" + strings.Repeat("9", 100_000) + "\n.", "characters"},
		{"no float", "Fx\n.", "not a float"},

		{"unknown number of the memo", "h\x00.", "nothing in the memo"},
		{"put of nothing", "\x94.", "too few values"},
		{"put of a mark", "N(\x94.", "too few values"},
		{"number of the memo below 0", "Np-1\n.", "not a number of the memo"},
		{"list in itself", "]\x94h\x00a.", "list or dict from the memo"},
		{"list in its tuple", "]\x94h\x00\x85a.", "list or dict from the memo"},
		{"dict in itself", "}\x94Va\nh\x00s.", "list or dict from the memo"},
		{"tuple in itself", "(]\x94(h\x01tp1\n.", "nothing in the memo"},

		{"os.system", "cos\nsystem\n(Vid\ntR.", `global "system" of module "os"`},
		{"os.system by name", "\x8c\x02os\x8c\x06system\x93\x8c\x02id\x85R.", `global "system" of module "os"`},
		{"eval", "cbuiltins\neval\n.", "not allowed"},
		{"dotted name", "\x8c\x11remofile.protocol\x8c\x11Request.__class__\x93.", "not allowed"},
		{"another class", "cremofile.protocol\nFoo\n.", "not allowed"},
		{"WindowsPath", "cpathlib\nWindowsPath\n.", "not allowed"},
		{"name that is not a str", "NN\x93.", "name of a global"},

		{"class as result", request + ".", "not called"},
		{"function as result", getattr + ".", "not called"},
		{"member as result", request + "VX\n\x86.", "not called"},
		{"class in a tuple", request + "\x85.", "not called"},
		{"class and int in a tuple", request + "N\x86.", "not called"},
		{"member in a list", "]" + request + "VX\n\x86a.", "not called"},
		{"class as value", "}Va\n" + request + "s.", "not called"},
		{"class as key", "}" + request + "Ns.", "not a str"},

		{"REDUCE of a list", "])R.", "REDUCE of"},
		{"REDUCE of a tuple", "))R.", "REDUCE of"},
		{"REDUCE of bytes", "C\x01a)R.", "REDUCE of"},
		{"REDUCE of an enumeration", request + "K\x01\x85R)R.", "REDUCE of"},
		{"REDUCE with a list", path + "]R.", "not a tuple"},
		{"REDUCE with a class", request + request + "R.", "not a tuple"},
		{"path of a member", path + request + "VX\n\x86R.", "not for getattr"},
		{"getattr of a str", getattr + "Va\nVb\n\x86R.", "REDUCE of"},
		{"getattr of getattr", getattr + getattr + "Vb\n\x86R.", "not called"},
		{"getattr with an int", getattr + request + "K\x01\x86R.", "not called"},
		{"getattr of a member", getattr + request + "VX\n\x86VX\n\x86R.", "not called"},
		{"class with a str", request + "VLIST_FILES\n\x85R.", "other than an int"},
		{"class with a bool", request + "\x88\x85R.", "other than an int"},
		{"class with two ints", request + "K\x01K\x01\x86R.", "other than an int"},
		{"bytes with an int", "cbuiltins\nbytes\nJ\xff\xff\xff\x7f\x85R.", "with arguments"},
		{"encode in another encoding", encode + "Va\nVzip\n\x86R.", "'latin1'"},
		{"encode of bytes", encode + "C\x01aVlatin1\n\x86R.", "'latin1'"},
		{"encode with a list", encode + "Va\n]\x86R.", "'latin1'"},
		{"encode above latin1", encode + "V\\u0100\nVlatin1\n\x86R.", "not in latin1"},
		{"encode of a surrogate", encode + "V\\udc80\nVlatin1\n\x86R.", "not in latin1"},
		{"path of an int", path + "K\x01\x85R.", "not a str"},

		{"deep tuples", "N" + strings.Repeat("\x85", 100) + ".", "deeper than the limit"},
		{"deep lists", strings.Repeat("]", 100) + strings.Repeat("a", 99) + ".", "deeper than the limit"},
		{"many marks", strings.Repeat("(", 1<<20), "limit"},
		{"many values", strings.Repeat("N", 1<<20), "limit"},
	}
	for _, test := range tests {
		v, err := pickle.Decode([]byte(test.in), pickle.Limits{})
		if err == nil {
			t.Errorf("%s: got %v", test.name, v)
		} else if !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %q, want %q", test.name, err, test.want)
		}
	}
}

// Every opcode that is not on the list in the package documentation is refused,
// whatever stands around it.
func TestOtherOpcodesAreRefused(t *testing.T) {
	allowed := "\x80\x95.(N\x88\x89IJKML\x8aFGVX\x8c\x8dBC\x8e)t\x85\x86\x87]lae}dsupqr\x94ghjc\x93R"
	for op := range 256 {
		if strings.IndexByte(allowed, byte(op)) >= 0 {
			continue
		}
		in := []byte{'N', 'N', '(', 'N', byte(op), '1', '\n', '.'}
		_, err := pickle.Decode(in, pickle.Limits{})
		if want := fmt.Sprintf("opcode 0x%02x is not allowed", op); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// tupleGraph is a tuple of twice the tuple of twice ..., levels deep: a few bytes
// a level, and as a tree 2 to the power of levels.
func tupleGraph(levels int) string {
	s := ")\x94"
	for i := range levels {
		get := fmt.Sprintf("h%c", i)
		s += get + get + "\x86\x94"
	}
	return s
}

func TestTupleGraph(t *testing.T) {
	for name, in := range map[string]string{
		"value":          tupleGraph(64) + ".",
		"dictionary key": "}" + tupleGraph(64) + "Ns.",
		"shallow, wide":  ")\x94(" + strings.Repeat("h\x00", 4000) + "t\x94(" + strings.Repeat("h\x01", 4000) + "t.",
	} {
		for _, l := range []pickle.Limits{{}, {Depth: 1000}} {
			if _, err := pickle.Decode([]byte(in), l); err == nil {
				t.Errorf("%s, %+v: decoded", name, l)
			}
		}
	}
}

// REDUCE makes bytes and paths of arguments from the memo: a few opcodes each,
// whatever the arguments' size.
func TestReduceDoesNotMultiply(t *testing.T) {
	text := "\x8d" + string(binary.LittleEndian.AppendUint64(nil, 1<<20)) + strings.Repeat("a", 1<<20) + "\x94"
	for name, in := range map[string]string{
		"encode": "c_codecs\nencode\n\x94" + text + "\x8c\x06latin1\x86\x94" + strings.Repeat("h\x00h\x02R", 1000),
		"path":   "cpathlib\nPosixPath\n\x94" + text + "\x85\x94" + strings.Repeat("h\x00h\x02R", 1000),
	} {
		_, err := pickle.Decode([]byte(in), pickle.Limits{})
		if err == nil || !strings.Contains(err.Error(), "made from the memo") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// A decode allocates in proportion to its input and its opcodes, not to any
// number in it.
func TestMemoryIsBounded(t *testing.T) {
	const size = 1 << 16
	var items strings.Builder
	for i := range size / 6 {
		fmt.Fprintf(&items, "\x8c\x04%04xN", i)
	}
	inputs := []string{"}(" + items.String() + "u."}
	for _, unit := range []string{
		"N", "(", ")", "]", "}", "N\x85", "N\x94", "K\x01\x94", "]\x94", "M\xff\xff", "\x8c\x02ab",
		"Nr\xff\xff\xff\x00", "C\x00", "cpathlib\nPosixPath\n", "}(\x8c\x01aNu",
		"cpathlib\nPosixPath\n(V/a/a/a/a/a/a/a/a\nVb\ntR", "c_codecs\nencode\n(Vabcdefghijkl\nVlatin1\ntR",
		"V\xe9\xe9\xe9\xe9\xe9\xe9\xe9\xe9\n",
	} {
		inputs = append(inputs, "]("+strings.Repeat(unit, size/len(unit))+"e.")
	}
	for _, in := range inputs {
		data := []byte(in)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		pickle.Decode(data, pickle.Limits{Ops: len(data)})
		runtime.ReadMemStats(&after)
		if each := (after.TotalAlloc - before.TotalAlloc) / uint64(len(data)); each > 320 {
			t.Errorf("%.40q...: %d bytes for each byte of input", in, each)
		}
	}
}

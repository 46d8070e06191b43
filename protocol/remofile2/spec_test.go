package remofile2

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math/big"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/remofile/remofile/protocol"
)

// specification returns the part of the package comment from one text on to another.
func specification(t *testing.T, from, to string) string {
	t.Helper()
	raw, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, part, found := strings.Cut(string(raw), from)
	part, _, end := strings.Cut(part, to)
	if !found || !end {
		t.Fatalf("no part of the specification between %q and %q", from, to)
	}
	return part
}

// rows returns what a pattern finds in the specification's tables.
func rows(part, pattern string) [][]string {
	return regexp.MustCompile(`(?m)^//\t *`+pattern).FindAllStringSubmatch(part, -1)
}

// TestSpecificationNamesEveryNumber holds the tables of the package comment against the
// constants and against the names that they print.
func TestSpecificationNamesEveryNumber(t *testing.T) {
	constants := declaredConstants(t)
	for _, test := range []struct {
		kind, from, to string
		print          func(n uint16) string
	}{
		{"Operation", "# Operations", "# Staged", func(n uint16) string { return Operation(n).String() }},
		{"Code", "# Codes", "package ", func(n uint16) string { return Code(n).String() }},
		{"Event", "# Notices", "# Codes", func(n uint16) string { return Event(n).String() }},
	} {
		specified := make(map[string]uint64)
		for _, row := range rows(specification(t, test.from, test.to), `(\d+) ([A-Z_]+)\b(?:\s+\[|  |\n)`) {
			n, _ := strconv.ParseUint(row[1], 10, 16)
			if test.kind == "Operation" && !strings.HasSuffix(row[0], "[") {
				continue // a flag
			}
			specified[row[2]] = n
			if got := test.print(uint16(n)); got != row[2] {
				t.Errorf("%s %d is %s, specified as %s", test.kind, n, got, row[2])
			}
		}
		if got := constants[test.kind]; !reflect.DeepEqual(got, specified) {
			t.Errorf("%s: the constants are %v, specified are %v", test.kind, got, specified)
		}
		if got := test.print(60000); got != "number 60000" {
			t.Errorf("a %s of a later version is %q", test.kind, got)
		}
	}
}

// TestSpecificationNamesEveryFlag holds the table of flags against the constants, and
// against what each operation takes.
func TestSpecificationNamesEveryFlag(t *testing.T) {
	specified := make(map[string]uint64)
	sums := make(map[string]Flags)
	var names []string
	for _, row := range rows(specification(t, "Flags, by operation:", "# Staged"), `((?:[A-Z]+(?:, )?)*) +(\d+) ([A-Z_]+)\b`) {
		if row[1] != "" {
			names = strings.Split(row[1], ", ")
		}
		value, _ := strconv.ParseUint(row[2], 10, 32)
		for _, operation := range names {
			specified[operation+"_"+row[3]] = value
			sums[operation] |= Flags(value)
		}
	}
	if got := declaredConstants(t)["Flags"]; !reflect.DeepEqual(got, specified) {
		t.Errorf("the constants are %v, specified are %v", got, specified)
	}
	for _, o := range operations {
		if o.flags != sums[o.name] {
			t.Errorf("%s takes the flags %b, specified are %b", o.name, o.flags, sums[o.name])
		}
	}
}

// declaredConstants returns the constants of numbers.go by their type, as the package comment
// writes them: OpMkdir of Operation is MKDIR, RenameKeep of Flags is RENAME_KEEP.
func declaredConstants(t *testing.T) map[string]map[string]uint64 {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "numbers.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	prefixes := map[string]string{"Operation": "Op", "Code": "Code", "Event": "Event"}
	found := make(map[string]map[string]uint64)
	for _, declaration := range file.Decls {
		block, ok := declaration.(*ast.GenDecl)
		if !ok || block.Tok != token.CONST {
			continue
		}
		kind, first := "", uint64(0)
		for i, spec := range block.Specs {
			constant := spec.(*ast.ValueSpec)
			value := first + uint64(i)
			if constant.Type != nil {
				kind = constant.Type.(*ast.Ident).Name
				switch v := constant.Values[0].(type) {
				case *ast.BinaryExpr: // iota + 1
					first, value = 1, 1
				case *ast.BasicLit:
					value, _ = strconv.ParseUint(v.Value, 10, 32)
				}
			}
			if found[kind] == nil {
				found[kind] = make(map[string]uint64)
			}
			found[kind][upperSnake(strings.TrimPrefix(constant.Names[0].Name, prefixes[kind]))] = value
		}
	}
	return found
}

func upperSnake(name string) string {
	var b strings.Builder
	for i, c := range name {
		if i > 0 && unicode.IsUpper(c) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToUpper(c))
	}
	return b.String()
}

// TestSpecificationHasEveryField holds arguments and results against the tables that
// messages are written and read by.
func TestSpecificationHasEveryField(t *testing.T) {
	part := specification(t, "# Operations", "Requests are executed")
	found := rows(part, `(\d+) ([A-Z]+) +(\[.*)\n`)
	if len(found) != len(operations)-1 {
		t.Errorf("%d operations are specified, %d known", len(found), len(operations)-1)
	}
	for _, row := range found {
		n, _ := strconv.Atoi(row[1])
		op := Operation(n)
		request, answer := texts(op.spec().arguments), texts(op.spec().results)
		if op.RequestPayload() {
			request += " payload"
		}
		if op.AnswerPayload() {
			answer += " payload"
		}
		if got := request + " -> " + answer; got != row[3] {
			t.Errorf("%s is %s, specified as %s", op, got, row[3])
		}
	}
	for _, row := range rows(specification(t, "# Notices", "# Codes"), `(\d+) [A-Z]+ +(\[.*?\]+) `) {
		n, _ := strconv.Atoi(row[1])
		if got := texts(Event(n).spec().arguments); got != row[2] {
			t.Errorf("%s is %s, specified as %s", Event(n), got, row[2])
		}
	}
}

func texts[M any](fields []field[M]) string {
	var all []string
	for _, f := range fields {
		all = append(all, f.text)
	}
	return "[" + strings.Join(all, ", ") + "]"
}

// cddl returns the rules of the CDDL without comments and line breaks.
func cddl(t *testing.T) map[string]string {
	t.Helper()
	found := make(map[string]string)
	name := ""
	for _, row := range rows(specification(t, "for something else.\n", "// A request that"), `(?:([a-z]+) +=)?([^\n;]*)`) {
		if row[1] != "" {
			name = row[1]
		}
		found[name] = strings.TrimSpace(found[name] + " " + strings.TrimSpace(row[2]))
	}
	return found
}

// TestSpecificationHasEveryAttribute holds the arrays and maps of the CDDL against the types.
func TestSpecificationHasEveryAttribute(t *testing.T) {
	rules := cddl(t)
	for rule, want := range map[string]string{
		"attr":    texts(attrFields),
		"entry":   texts(entryFields),
		"changes": keys[Changes](),
		"info":    keys[Info](),
		"status":  keys[Status](),
		"peer":    keys[Peer](),
	} {
		if rules[rule] != want {
			t.Errorf("%s is %s, specified as %s", rule, want, rules[rule])
		}
	}
}

// keys writes the map that T stands for as the CDDL does.
func keys[T any]() string {
	types := map[string]string{"string": "tstr", "uint64": "uint", "bool": "bool", "[]string": "[*tstr]", "remofile2.Time": "time",
		"[]remofile2.Peer": "[*peer]", "*int64": "length", "*uint16": "mode", "*remofile2.Time": "time"}
	var all []string
	for f := range reflect.TypeFor[T]().Fields() {
		key, options, _ := strings.Cut(f.Tag.Get("cbor"), ",")
		if options == "keyasint,omitempty" {
			key = "? " + key
		} else {
			key = strconv.Quote(key)
		}
		all = append(all, key+": "+types[f.Type.String()])
	}
	return "{" + strings.Join(all, ", ") + "}"
}

// TestRangesOfTheSpecification holds that the bounds of each range in the CDDL are
// taken, and their neighbours refused.
func TestRangesOfTheSpecification(t *testing.T) {
	readers := map[string]func([]byte) error{
		"id": reads(idRule), "handle": reads(handleRule), "offset": reads(offsetRule), "length": reads(lengthRule),
		"block": reads(blockRule), "exponent": reads(exponentRule), "flags": reads(flagsRule), "mode": reads(modeRule), "time": reads(timeRule), "kind": reads(kindRule),
		"operation": readsOperation,
		"code": func(b []byte) error {
			return second(DecodeAnswer(OpGoodbye, slices.Concat([]byte{0x83, 1}, b, []byte{0x60})))
		},
		"event": func(b []byte) error {
			return second(DecodeNotice(slices.Concat([]byte{0x84, 0}, b, []byte{0x41, '/', 0x80})))
		},
	}
	for rule, definition := range cddl(t) {
		bounds := regexp.MustCompile(`^(-?\d+)\.\.(\d+)$`).FindStringSubmatch(definition)
		if bounds == nil {
			continue
		}
		read := readers[rule]
		if read == nil {
			t.Errorf("nothing reads %s", rule)
			continue
		}
		delete(readers, rule)
		for i, outside := range []int64{-1, 1} {
			bound, _ := new(big.Int).SetString(bounds[i+1], 10)
			if err := read(encodeInteger(bound)); err != nil {
				t.Errorf("%s: %v is refused: %v", rule, bound, err)
			}
			if bound.Add(bound, big.NewInt(outside)); read(encodeInteger(bound)) == nil {
				t.Errorf("%s: %v is taken", rule, bound)
			}
		}
	}
	for rule := range readers {
		t.Errorf("%s has no range in the specification", rule)
	}
}

// TestSizesOfTheSpecification does the same for the sizes of strings and lists.
func TestSizesOfTheSpecification(t *testing.T) {
	readers := map[string]func(n int) error{
		"path":    func(n int) error { return reads(pathRule)(encodeString(majorBytes, longPath(n))) },
		"name":    readsString(nameRule, majorBytes),
		"target":  readsString(targetRule, majorBytes),
		"part":    readsString(partRule, majorBytes),
		"session": readsString(sessionRule, majorBytes),
		"secret":  readsString(secretRule, majorBytes),
		"feature": readsString(featureRule, majorText),
		"features": func(n int) error {
			return reads(featuresRule)(append(appendHead(nil, majorArray, uint64(n)), strings.Repeat("\x61x", n)...))
		},
	}
	for rule, definition := range cddl(t) {
		sizes := regexp.MustCompile(`(?:\.size \(?|\[\*)(?:(\d+)\.\.)?(\d+)(?:\)| feature\]| / '')$`).FindStringSubmatch(definition)
		if sizes == nil {
			continue
		}
		read := readers[rule]
		if read == nil {
			t.Errorf("nothing reads %s", rule)
			continue
		}
		delete(readers, rule)
		least, _ := strconv.Atoi(sizes[1])
		most, _ := strconv.Atoi(sizes[2])
		for size, fits := range map[int]bool{least: true, most: true, least - 1: false, most + 1: false} {
			if size >= 0 && (read(size) == nil) != fits {
				t.Errorf("%s of %d: error %v", rule, size, read(size))
			}
		}
		if strings.HasSuffix(definition, "/ ''") && (read(most-1) == nil || read(1) == nil) {
			t.Errorf("%s: another size than 0 and %d is taken", rule, most)
		}
	}
	for rule := range readers {
		t.Errorf("%s has no size in the specification", rule)
	}
}

// TestSpecificationNamesEveryLimit holds the numbers of the text against the constants;
// TestLimits holds the code against them.
func TestSpecificationNamesEveryLimit(t *testing.T) {
	for _, limit := range []string{
		fmt.Sprintf("request   = [id, operation, *argument]     ; %d KiB at most", MaxRequest>>10),
		fmt.Sprintf("; done; %d MiB at most", MaxAnswer>>20),
		fmt.Sprintf("answers nothing; %d MiB at most", MaxAnswer>>20),
		fmt.Sprintf("%d names at most", MaxPathNames),
		fmt.Sprintf("more than %d elements", maxElements),
		fmt.Sprintf("more than %d keys", maxPairs),
		fmt.Sprintf("deeper than %d", maxNesting),
	} {
		if text := strings.ReplaceAll(specification(t, "# Messages", "# Operations"), "\n// ", " "); !strings.Contains(text, limit) {
			t.Errorf("the specification does not say %q", limit)
		}
	}
}

// TestSpecificationNamesEveryLimitOfSessions holds the table of limits against the
// constants.
func TestSpecificationNamesEveryLimitOfSessions(t *testing.T) {
	want := map[string][]string{
		"requests":      {count(MaxRequests)},
		"bytes":         {size(MaxBytes), size(cutBuffer)},
		"unread":        {count(MaxUnread * MaxRequests), size(MaxUnread * MaxBytes)},
		"payload":       {size(MaxPayload)},
		"frame":         {size(MaxWindow), size(MinBlock)},
		"page":          {size(MaxPage)},
		"handles":       {count(MaxHandles)},
		"watches":       {count(MaxWatches)},
		"watched paths": {size(MaxWatchedPaths)},
		"told names":    {count(MaxToldNames)},
		"told bytes":    {size(MaxToldBytes)},
		"listings":      {count(MaxListings)},
		"listed names":  {size(MaxListingNames)},
		"idle listing":  {fmt.Sprintf("%.0f s", ListingTime.Seconds())},
		"answers":       {count(MaxAnswers)},
		"path":          {size(MaxPath)},
		"names":         {count(MaxPathNames)},
		"name":          {size(MaxName)},
		"removal depth": {count(MaxRemovalDepth)},
		"kept parts":    {count(MaxKept)},
		"keep time":     {fmt.Sprintf("%.0f h", KeepTime.Hours())},
		"all requests":  {count(MaxAllRequests)},
		"all bytes":     {size(MaxAllBytes), fmt.Sprintf("%.0f s", RoomTime.Seconds())},
		"executed":      {count(MaxExecuted)},
		"disk reserve":  {fmt.Sprintf("%d %%", DiskReserve)},
		"sign of life":  {fmt.Sprintf("%.0f s", SignTime.Seconds())},
		"grace":         {fmt.Sprintf("%.0f s", DefaultGrace.Seconds())},
		"sessions":      {count(protocol.MaxSessions)},
	}
	found := make(map[string][]string)
	name := ""
	for _, row := range rows(specification(t, "# Limits\n", "# Notices"), `(\S+(?: \S+)*)?  +(.*)`) {
		if row[1] != "" && !strings.HasPrefix(row[1], "LIST") {
			name = row[1]
		}
		found[name] = append(found[name], regexp.MustCompile(`\b\d+( (?:(?:bytes|[KM]iB|s|h)\b|%))?`).FindAllString(row[2], -1)...)
	}
	if !reflect.DeepEqual(found, want) {
		t.Errorf("the constants are\n%q\nspecified are\n%q", want, found)
	}
}

func count(n int) string { return strconv.Itoa(n) }

// size writes a number of bytes as the package comment does.
func size(n int) string {
	switch {
	case n%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", n>>20)
	case n%(1<<10) == 0:
		return fmt.Sprintf("%d KiB", n>>10)
	default:
		return fmt.Sprintf("%d bytes", n)
	}
}

// reads returns what reads one value of a rule, and nothing behind it.
func reads[T any](rule codec[T]) func([]byte) error {
	return func(b []byte) error {
		d := decoder{rest: b}
		rule.decode(&d, new(T))
		return d.err
	}
}

func readsString(rule codec[string], major byte) func(n int) error {
	return func(n int) error { return reads(rule)(encodeString(major, strings.Repeat("x", n))) }
}

// readsOperation returns an error for what can't be the number of an operation of any version.
func readsOperation(b []byte) error {
	_, err := DecodeRequest(append([]byte{0x82, 1}, b...))
	if e, ok := err.(*RequestError); ok && e.Code == CodeUnknownOperation {
		return nil
	}
	return err
}

func second(_ any, err error) error { return err }

func encodeInteger(n *big.Int) []byte {
	if n.Sign() < 0 {
		return appendHead(nil, majorNegative, new(big.Int).Not(n).Uint64())
	}
	return appendHead(nil, majorUnsigned, n.Uint64())
}

func encodeString(major byte, s string) []byte {
	return append(appendHead(nil, major, uint64(len(s))), s...)
}

// longPath returns a path of n bytes of few enough names.
func longPath(n int) string {
	return strings.Repeat("/"+strings.Repeat("x", 32), n/33+1)[:n]
}

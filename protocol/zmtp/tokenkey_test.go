package zmtp

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestVectorsOfTheComment derives what the package comment, which is the protocol's text, says.
func TestVectorsOfTheComment(t *testing.T) {
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	vectors := 0
	for line := range strings.Lines(string(text)) {
		quoted, err := strconv.QuotedPrefix(strings.TrimPrefix(line, "//\t"))
		if err != nil {
			continue
		}
		token, err := strconv.Unquote(quoted)
		if err != nil {
			t.Fatal(err)
		}
		f := strings.Fields(line[len("//\t")+len(quoted):])
		key, err := TokenKey(token)
		if err != nil {
			t.Fatal(err)
		}
		public, err := key.Public()
		if err != nil {
			t.Fatal(err)
		}
		if len(f) != 2 || key.String() != f[0] || public.String() != f[1] {
			t.Errorf("%q derives %s %s", token, key, public)
		}
		vectors++
	}
	if vectors != 4 {
		t.Errorf("%d vectors, want 4", vectors)
	}
}

func TestStrongTokens(t *testing.T) {
	for token, want := range map[string]bool{
		"qRkVWJcFRqi7rsNMbagaDd":  true,
		"qRkVWJcFRqi7rsNMbagaD":   false,
		"qRkVWJcFRqi7rsNMbagaDdd": false,
		"qRkVWJcFRqi0rsNMbagaDd":  false, // 0 is none of shortuuid's
		"qRkVWJcFRqi rsNMbagaDd":  false,
		"":                        false,
	} {
		if got := StrongToken(token); got != want {
			t.Errorf("%q: %v, want %v", token, got, want)
		}
	}
}

// TestAKeyIsDerivedOnceAProcess holds that a weak token costs its memory only once.
func TestAKeyIsDerivedOnceAProcess(t *testing.T) {
	first, err := TokenKey("weak")
	if err != nil {
		t.Fatal(err)
	}
	allocated := testing.AllocsPerRun(10, func() {
		if key, err := TokenKey("weak"); err != nil || key != first {
			t.Errorf("%v, error %v", key, err)
		}
	})
	if allocated > 0 {
		t.Errorf("%v allocations for a key that is known", allocated)
	}
}

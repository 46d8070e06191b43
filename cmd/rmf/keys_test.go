package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/remofile/remofile/server"
)

// atKey is a key that begins as the name of a file does.
var atKey = "@" + strings.Repeat("a", 39)

func TestPrivateKey(t *testing.T) {
	const ( // of zmq_curve(7)
		public  = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
		private = "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6"
	)
	t.Chdir(t.TempDir())
	for name, content := range map[string]string{
		"alone":  private,
		"space":  "\n  " + private + " \r\n\n",
		"pair":   publicKeyLabel + public + "\n" + privateKeyLabel + private + "\n",
		"crlf":   publicKeyLabel + public + "\r\n" + privateKeyLabel + private + "\r\n",
		"public": publicKeyLabel + public + "\n",
		"empty":  "",
		"cut":    private[:39],
		"large":  strings.Repeat(" ", maxKeyFile) + private,
	} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	absolute, err := filepath.Abs("alone")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ text, want, line string }{
		{private, private, ""},
		{hyphenKey, hyphenKey, ""},
		{atKey, atKey, ""},
		{"@alone", private, ""},
		{"@" + absolute, private, ""},
		{"@space", private, ""},
		{"@pair", private, ""},
		{"@crlf", private, ""},
		{"", "", "the private key: a key has 40 characters of Z85, not 0"},
		{"@", "", "the private key: a key has 40 characters of Z85, not 1"},
		{"alone", "", "the private key: a key has 40 characters of Z85, not 5"},
		{private + "a", "", "the private key: a key has 40 characters of Z85, not 41"},
		{private[:39] + "~", "", "the private key: character 40 of the key is none of Z85"},
		{"@public", "", "public: it has no private key"},
		{"@empty", "", "empty: it has no private key"},
		{"@cut", "", "cut: it has no private key"},
		{"@large", "", "large: larger than 4096 bytes, and so no file with a key"},
		{"@missing", "", "missing: no such file or directory"},
		{"@.", "", ".: is a directory"},
	} {
		got, err := privateKey(newOutput(os.Stdout, os.Stderr), test.text)
		switch {
		case test.line == "" && (err != nil || got != test.want):
			t.Errorf("%q: %q, error %v, want %q", test.text, got, err, test.want)
		case test.line != "" && err == nil:
			t.Errorf("%q: %q, want the error %q", test.text, got, test.line)
		case test.line != "" && (describe(err).status != exitUsage || describe(err).line != test.line):
			t.Errorf("%q: %+v, want %q", test.text, describe(err), test.line)
		}
	}
}

// TestPathOfAKeyMayLookLikeAKey holds that a file that is there is taken for what it
// is, however its path reads.
func TestPathOfAKeyMayLookLikeAKey(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile(atKey[1:], []byte(hyphenKey), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := privateKey(newOutput(os.Stdout, os.Stderr), atKey); err != nil || got != hyphenKey {
		t.Errorf("%q, error %v", got, err)
	}
}

// TestKeysAreNotQuoted holds that no error shows what may be most of a secret.
func TestKeysAreNotQuoted(t *testing.T) {
	clearEnvironment(t)
	const nearly = "-@secret"
	for _, args := range [][]string{
		{"run", "--private-key", nearly, t.TempDir()},
		{"list", "--hostname", "127.0.0.1", "--port", "1", "--token", "x", "--public-key", nearly},
	} {
		out, stdout, stderr := capture()
		if status := run(t.Context(), args, out); status != exitUsage {
			t.Errorf("%q: exit status %d, want %d", args, status, exitUsage)
		}
		if strings.Contains(stdout.String()+stderr.String(), "secret") {
			t.Errorf("%q: told %q", args, stderr)
		}
	}
}

// TestWeakTokenIsTold holds when a client warns: where the token is all that encrypts,
// and can be guessed.
func TestWeakTokenIsTold(t *testing.T) {
	for _, test := range []struct {
		name string
		c    connection
		told bool
	}{
		{"weak", connection{Token: "secret"}, true},
		{"strong", connection{Token: server.GenerateToken()}, false},
		{"with a key", connection{Token: "secret", PublicKey: keyText(hyphenKey)}, false},
		{"plain", connection{Token: "secret", Plain: true}, false},
	} {
		out, _, stderr := capture()
		test.c.warn(out)
		line := stderr.String()
		if told := strings.HasPrefix(line, "warning: the token is weak: "); told != test.told || strings.Count(line, "\n") > 1 {
			t.Errorf("%s: told %q", test.name, line)
		}
		if strings.Contains(line, test.c.Token) {
			t.Errorf("%s: %q has the token", test.name, line)
		}
	}
}

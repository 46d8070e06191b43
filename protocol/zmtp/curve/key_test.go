package curve

import (
	"crypto/rand"
	"encoding/hex"
	"strings"
	"testing"
)

// The keys that the manual of libzmq (zmq_curve(7)) has for tests.
const (
	testPublic     = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"
	testPublicHex  = "bb88471d65e2659b30c55a5321cebb5aab2b70a398645c26dca2b2fcb43fc518"
	testPrivate    = "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs"
	testPrivateHex = "7bb864b489afa3671fbe69101f94b38972f24816dfb01b51656b3fec8dfd0888"
)

func TestKeysAreWrittenInZ85(t *testing.T) {
	for text, want := range map[string]string{
		strings.Repeat("HelloWorld", 4): strings.Repeat("864fd26fb559f75b", 4), // RFC 32's example
		testPublic:                      testPublicHex,
		testPrivate:                     testPrivateHex,
		strings.Repeat("0", 40):         strings.Repeat("00", 32),
		strings.Repeat("%nSc0", 8):      strings.Repeat("ffffffff", 8),
	} {
		k, err := ParseKey(text)
		if err != nil || hex.EncodeToString(k[:]) != want {
			t.Errorf("%s is %x, error %v, want %s", text, k[:], err, want)
		}
		if k.String() != text {
			t.Errorf("%x becomes %s, want %s", k[:], k, text)
		}
	}
}

func TestEveryKeySurvivesItsText(t *testing.T) {
	for range 1000 {
		var k Key
		rand.Read(k[:])
		if back, err := ParseKey(k.String()); err != nil || back != k {
			t.Fatalf("%x becomes %s becomes %x, error %v", k[:], k, back[:], err)
		}
	}
}

func TestBadKeysAreToldWithoutQuotingThem(t *testing.T) {
	for text, want := range map[string]string{
		"":                       "a key has 40 characters of Z85, not 0",
		testPrivate[:39]:         "a key has 40 characters of Z85, not 39",
		testPrivate + "x":        "a key has 40 characters of Z85, not 41",
		testPrivate + "\n":       "a key has 40 characters of Z85, not 41",
		"~" + testPrivate[1:]:    "character 1 of the key is none of Z85",
		testPrivate[:38] + "\"s": "character 39 of the key is none of Z85",
		testPrivate[:38] + "é":   "character 39 of the key is none of Z85",
		testPrivate[:5] + "%nSc1" + testPrivate[10:]: "characters 6 to 10 of the key are more than 32 bits",
		testPrivate[:35] + "#####":                   "characters 36 to 40 of the key are more than 32 bits",
	} {
		k, err := ParseKey(text)
		if err == nil || err.Error() != want || k != (Key{}) {
			t.Errorf("%q: key %x, error %v, want %s", text, k[:], err, want)
		}
	}
}

func TestPublicKeyBelongsToThePrivateOne(t *testing.T) {
	private, err := ParseKey(testPrivate)
	if err != nil {
		t.Fatal(err)
	}
	if public, err := private.Public(); err != nil || public.String() != testPublic {
		t.Errorf("public key %s, error %v, want %s", public, err, testPublic)
	}
}

func TestGeneratedKeysAreNewPairs(t *testing.T) {
	seen := make(map[Key]bool)
	for range 10 {
		public, private, err := GenerateKeys()
		if err != nil {
			t.Fatal(err)
		}
		if want, err := private.Public(); err != nil || public != want {
			t.Errorf("public key %s of %s, error %v", public, private, err)
		}
		if err := public.CheckPublic(); err != nil {
			t.Errorf("public key %s: %v", public, err)
		}
		if seen[public] || seen[private] {
			t.Errorf("a key comes twice: %s %s", public, private)
		}
		seen[public], seen[private] = true, true
	}
}

// lowOrder are public keys that lead to the same secret with every private one.
func lowOrder(t testing.TB) []Key {
	t.Helper()
	var keys []Key
	for _, text := range []string{
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	} {
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, Key(b))
	}
	return keys
}

func TestPublicKeysOfLowOrderAreNone(t *testing.T) {
	for _, k := range lowOrder(t) {
		if k.CheckPublic() == nil {
			t.Errorf("%x is taken for a public key", k[:])
		}
	}
}

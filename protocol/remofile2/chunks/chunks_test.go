package chunks

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/remofile/remofile/protocol/remofile2"
)

func cut(t testing.TB, content []byte, exponent uint8) (all []remofile2.Chunk) {
	t.Helper()
	c := NewCutter(bytes.NewReader(content), exponent)
	for {
		chunk, data, err := c.Next()
		if err == io.EOF {
			return all
		}
		if err != nil || int64(len(data)) != chunk.Length {
			t.Fatalf("%d bytes for %d, error %v", len(data), chunk.Length, err)
		}
		all = append(all, chunk)
	}
}

// noise returns bytes that another language makes, too: each SHA-256 of a number of four bytes.
func noise(size int) (content []byte) {
	for i := uint32(0); len(content) < size; i++ {
		sum := sha256.Sum256([]byte{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)})
		content = append(content, sum[:]...)
	}
	return content[:size]
}

// TestVector holds the example of the specification.
func TestVector(t *testing.T) {
	var lengths []int64
	list := sha256.New()
	for _, c := range cut(t, noise(64<<10), 12) {
		lengths = append(lengths, c.Length)
		list.Write(remofile2.AppendChunk(nil, &c))
	}
	specification, err := os.ReadFile("../doc.go")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(specification), "\n// ", " ")
	last := len(lengths) - 1
	for _, want := range []string{
		fmt.Sprintf("chunks of %s and %d bytes.", strings.Trim(strings.ReplaceAll(fmt.Sprint(lengths[:last]), " ", ", "), "[]"), lengths[last]),
		fmt.Sprintf("0x%X", uint64(polynomial)),
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the specification does not have %q", want)
		}
	}
	if got := hex.EncodeToString(list.Sum(nil)); got != "dbd3c1e73338d28916101447d2e8f53e99826865b80ed8336bc98759dbb0e2ba" {
		t.Errorf("the list has the digest %s", got)
	}
}

// remainder is that of a polynomial over GF(2), bit by bit as the specification has it.
func remainder(bytes []byte) (r uint64) {
	for _, b := range bytes {
		for i := 7; i >= 0; i-- {
			r = r<<1 | uint64(b>>i&1)
			if r>>53 != 0 {
				r ^= uint64(polynomial)
			}
		}
	}
	return r
}

// TestCutsAreWhereTheSpecificationSays looks at each place of a content with runs of zeros.
func TestCutsAreWhereTheSpecificationSays(t *testing.T) {
	content := slices.Concat(noise(30000), make([]byte, 20000), noise(70000))
	var want []int64
	begin := 0
	for end := 1; end <= len(content); end++ {
		n := end - begin
		ends := n >= 64 && n >= 1<<10 && remainder(content[end-64:end])&(1<<12-1) == 0
		if ends || n == 1<<14 || end == len(content) {
			want = append(want, int64(n))
			begin = end
		}
	}
	var got []int64
	for _, c := range cut(t, content, 12) {
		got = append(got, c.Length)
	}
	if !slices.Equal(got, want) {
		t.Errorf("the chunks have %v bytes, want %v", got, want)
	}
}

// TestAnInsertionLeavesTheOtherChunks holds that few chunks are new, whatever a read brings.
func TestAnInsertionLeavesTheOtherChunks(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	content := noise(1 << 20)
	old := make(map[remofile2.Chunk]bool)
	for _, c := range cut(t, content, 12) {
		old[c] = true
	}
	for _, at := range []int{0, 1, 500000, len(content) - 1, len(content)} {
		inserted := make([]byte, 1+random.IntN(5000))
		changed := slices.Concat(content[:at], inserted, content[at:])
		c := NewCutter(iotest.HalfReader(bytes.NewReader(changed)), 12)
		fresh := int64(0)
		for {
			chunk, _, err := c.Next()
			if err == io.EOF {
				break
			}
			if !old[chunk] {
				fresh += chunk.Length
			}
		}
		if most := int64(len(inserted)) + 4*remofile2.LongestChunk(12); fresh > most {
			t.Errorf("%d bytes at %d: %d bytes are new", len(inserted), at, fresh)
		}
	}
}

func TestListsAreShort(t *testing.T) {
	for _, size := range []int64{0, 1, 1 << 20, 1 << 27, 1 << 30, 1 << 34, 1 << 40, 1<<63 - 1} {
		e := Exponent(size)
		if e < minExponent || e > remofile2.MaxExponent {
			t.Errorf("the exponent of %d is %d", size, e)
		}
		if e > minExponent && e < remofile2.MaxExponent && size>>e >= 2<<finest {
			t.Errorf("%d bytes have %d chunks of 2^%d", size, size>>e, e)
		}
	}
}

func BenchmarkCut(b *testing.B) {
	content := noise(16 << 20)
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		cut(b, content, 16)
	}
}

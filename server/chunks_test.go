package server

import (
	"bytes"
	"math/rand/v2"
	"testing"

	. "github.com/remofile/remofile/protocol/remofile2"
	"github.com/remofile/remofile/protocol/remofile2/chunks"
)

func chunksRequest(offset, length int64, exponent uint8) Request {
	return Request{Operation: OpChunks, Handle: 1, Offset: offset, Length: length, Exponent: exponent}
}

// cutBytes returns the chunks that begin in the first bytes of a content, as an answer has them.
func cutBytes(content []byte, length int64, exponent uint8) (list []byte) {
	cutter := chunks.NewCutter(bytes.NewReader(content), exponent)
	for at := int64(0); at < length; {
		chunk, _, err := cutter.Next()
		if err != nil {
			break
		}
		list = AppendChunk(list, &chunk)
		at += chunk.Length
	}
	return list
}

// TestChunks asks for a file at once and in ranges, each beginning where the chunks of that
// before end: both are the same list.
func TestChunks(t *testing.T) {
	s := serve(t, Options{})
	content := make([]byte, 1<<20+123)
	rand.NewChaCha8([32]byte{1}).Read(content)
	copy(content[500_000:600_000], make([]byte, 100_000)) // as a hole reads
	s.write("f", string(content))
	c := s.dial2()
	c.want(CodeDone, openRequest(1, "/f", OpenRead))

	want := cutBytes(content, int64(len(content)), 12)
	if got := c.want(CodeDone, chunksRequest(0, 1<<24, 12)).payload; !bytes.Equal(got, want) {
		t.Error("other chunks")
	}
	var got []byte
	for at := int64(0); at < int64(len(content)); {
		list := c.want(CodeDone, chunksRequest(at, 100_000, 12)).payload
		if len(list) == 0 {
			t.Fatalf("nothing from %d on", at)
		}
		got = append(got, list...)
		for ; len(list) > 0; list = list[ChunkSize:] {
			at += DecodeChunk(list).Length
		}
	}
	if !bytes.Equal(got, want) {
		t.Error("other chunks, range by range")
	}
	for _, r := range []Request{chunksRequest(0, 0, 12), chunksRequest(2<<20, 1000, 20)} {
		if got := c.want(CodeDone, r).payload; len(got) != 0 {
			t.Errorf("%d bytes for %+v", len(got), r)
		}
	}
}

// TestChunksThatCantBe: too many for a payload, of a file that is not open, of no exponent.
func TestChunksThatCantBe(t *testing.T) {
	s := serve(t, Options{})
	s.write("f", "content")
	c := s.dial2()
	c.want(CodeBadHandle, chunksRequest(0, 1, 12))
	c.want(CodeDone, openRequest(1, "/f", OpenRead))
	most := int64(MaxPayload / ChunkSize * 1024)
	c.want(CodeDone, chunksRequest(0, most, 12))
	c.want(CodeBadRequest, chunksRequest(0, most+1, 12))
	c.want(CodeBadRequest, chunksRequest(0, 1, 11))
	c.want(CodeBadRequest, chunksRequest(0, 1, 21))
}

// TestChunksOfAHoleEnd when they are cancelled; the session answers others meanwhile.
func TestChunksOfAHoleEnd(t *testing.T) {
	s := serve(t, Options{})
	c := s.dial2()
	c.want(CodeDone, openRequest(1, "/f", OpenRead|OpenWrite|OpenCreate))
	c.want(CodeDone, Request{Operation: OpSet, Handle: 1, Changes: Changes{Size: new(int64(1 << 40))}})
	most := int64(MaxPayload / ChunkSize << 18)
	slow := c.send(chunksRequest(0, most, 20))
	c.want(CodeDone, Request{Operation: OpStat, Path: "/f"})
	c.send(Request{Operation: OpCancel, Cancel: slow})
	if got := c.receiveAll()[slow].Code; got != CodeCancelled {
		t.Errorf("the answer is %v", got)
	}
}

package server

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/remofile/remofile/protocol"
)

const kilo = 1000 // the size of the tests' uploads, in two chunks of 512

func uploadRequest(name string) protocol.Request {
	return protocol.Request{Type: protocol.UploadFile, Name: name, Directory: "/", Size: kilo, ChunkSize: 512}
}

func downloadRequest(name string) protocol.Request {
	return protocol.Request{Type: protocol.DownloadFile, Name: name, Directory: "/", ChunkSize: 512}
}

func chunkRequest(data []byte) protocol.Request {
	return protocol.Request{Type: protocol.SendChunk, Data: data}
}

func TestMessagesThatAreNoRequestsAreBadRequests(t *testing.T) {
	c := serve(t, Options{}).dial()
	request := protocol.AppendRequest(nil, &protocol.Request{Type: protocol.ListFiles, Directory: "/"})
	if r := c.send(nil, request); r.Reason != protocol.FilesListed { // the first message decides for Remofile 1
		t.Fatalf("answer %s", describe(r))
	}
	for name, frames := range map[string][][]byte{
		"one frame":                 {request},
		"three frames":              {nil, request, nil},
		"eight frames":              {nil, nil, nil, nil, nil, nil, nil, nil},
		"the first frame not empty": {[]byte("x"), request},
		"an empty request":          {nil, nil},
		"garbage":                   {nil, []byte("\x80\x04garbage")},
		"trailing data":             {nil, append(bytes.Clone(request), '.')},
		"an unknown number":         {nil, []byte("\x80\x04(K\x63t.")},
	} {
		if r := c.send(frames...); r.Type != protocol.Errored || r.Reason != protocol.BadRequest {
			t.Errorf("%s: answer %s", name, describe(r))
		}
	}
	if r := c.send(nil, request); r.Reason != protocol.FilesListed {
		t.Errorf("after bad requests: answer %s", describe(r))
	}
}

// TestRequestsInEveryState makes each request in each state, and then ends the
// transfer as if nothing had happened.
func TestRequestsInEveryState(t *testing.T) {
	s := serve(t, Options{})
	content := pattern(kilo)
	s.write("file", string(content))
	requests := map[protocol.RequestType]protocol.Request{
		protocol.ListFiles:      {Type: protocol.ListFiles, Directory: "/"},
		protocol.CreateFile:     {Type: protocol.CreateFile, Name: "new", Directory: "/"},
		protocol.MakeDirectory:  {Type: protocol.MakeDirectory, Name: "new", Directory: "/"},
		protocol.RemoveFile:     {Type: protocol.RemoveFile, Name: "file", Directory: "/"},
		protocol.UploadFile:     uploadRequest("other"),
		protocol.DownloadFile:   downloadRequest("file"),
		protocol.SendChunk:      chunkRequest([]byte("x")),
		protocol.ReceiveChunk:   {Type: protocol.ReceiveChunk},
		protocol.CancelTransfer: {Type: protocol.CancelTransfer},
	}
	wrong := func(c *client, allowed ...protocol.RequestType) {
		c.t.Helper()
		for kind, r := range requests {
			if !slices.Contains(allowed, kind) {
				c.want(protocol.BadRequest, r)
			}
		}
		c.want(protocol.FilesListed, requests[protocol.ListFiles])
	}
	c := s.dial()
	wrong(c, protocol.ListFiles, protocol.CreateFile, protocol.MakeDirectory, protocol.RemoveFile, protocol.UploadFile,
		protocol.DownloadFile)

	c.want(protocol.TransferAccepted, uploadRequest("up"))
	wrong(c, protocol.ListFiles, protocol.SendChunk, protocol.CancelTransfer)
	c.want(protocol.ChunkReceived, chunkRequest(content[:512]))
	wrong(c, protocol.ListFiles, protocol.SendChunk, protocol.CancelTransfer)
	c.want(protocol.TransferCompleted, chunkRequest(content[512:]))
	if s.read("up") != string(content) {
		t.Error("another file arrived than was sent")
	}

	c.want(protocol.TransferAccepted, downloadRequest("file"))
	wrong(c, protocol.ListFiles, protocol.ReceiveChunk, protocol.CancelTransfer)
	first := c.want(protocol.ChunkSent, requests[protocol.ReceiveChunk])
	wrong(c, protocol.ListFiles, protocol.ReceiveChunk, protocol.CancelTransfer)
	last := c.want(protocol.TransferCompleted, requests[protocol.ReceiveChunk])
	if string(first.Data)+string(last.Data) != string(content) {
		t.Error("another file was sent than was there")
	}

	c.want(protocol.TransferAccepted, uploadRequest("cancelled"))
	c.want(protocol.TransferCancelled, requests[protocol.CancelTransfer])
	c.want(protocol.TransferAccepted, downloadRequest("file"))
	c.want(protocol.TransferCancelled, requests[protocol.CancelTransfer])
	wrong(c, protocol.ListFiles, protocol.CreateFile, protocol.MakeDirectory, protocol.RemoveFile, protocol.UploadFile,
		protocol.DownloadFile)
	if got := c.names("/"); got != "file up" {
		t.Errorf("the jail holds %q", got)
	}
}

func TestInvalidChunkCancelsTheUpload(t *testing.T) {
	s := serve(t, Options{})
	c := s.dial()
	list := protocol.Request{Type: protocol.ListFiles, Directory: "/"}
	malformed := protocol.AppendRequest(nil, &list)
	malformed = bytes.Replace(malformed, []byte("K\x01"), []byte("K\x05"), 1) // SEND_CHUNK with a str
	chunk := func(n int) []byte {
		r := chunkRequest(pattern(n))
		return protocol.AppendRequest(nil, &r)
	}
	for name, request := range map[string][]byte{
		"empty":          chunk(0),
		"a byte short":   chunk(511),
		"a byte long":    chunk(513),
		"the whole file": chunk(kilo),
		"1 MiB":          chunk(protocol.MinMessageChunk),
		"not bytes":      malformed,
	} {
		c.want(protocol.TransferAccepted, uploadRequest("f"))
		if r := c.send(nil, request); r.Reason != protocol.BadRequest {
			t.Errorf("first chunk %s: answer %s", name, describe(r))
		}
		c.want(protocol.BadRequest, protocol.Request{Type: protocol.CancelTransfer})

		c.want(protocol.TransferAccepted, uploadRequest("f"))
		c.want(protocol.ChunkReceived, chunkRequest(pattern(512)))
		if r := c.send(nil, request); r.Reason != protocol.BadRequest {
			t.Errorf("last chunk %s: answer %s", name, describe(r))
		}
		c.want(protocol.BadRequest, protocol.Request{Type: protocol.CancelTransfer})
		requireNoStaging(t, s.jail)
	}
	if got := c.names("/"); got != "" {
		t.Errorf("the jail holds %q", got)
	}
}

// TestMessagesThatAreTooLongEndTheirSession: a chunk that is longer than allowed is
// answered as long as it fits the room that a message has.
func TestMessagesThatAreTooLongEndTheirSession(t *testing.T) {
	for _, allowed := range []int{0, 1 << 20} {
		s := serve(t, Options{MaxChunkSize: allowed})
		room := max(allowed, protocol.MinMessageChunk) + protocol.MaxOverhead
		c, other := s.dial(), s.dial()
		c.want(protocol.TransferAccepted, uploadRequest("f"))
		c.want(protocol.BadRequest, chunkRequest(make([]byte, room-100)))
		r := chunkRequest(make([]byte, room))
		// Writing fails as well where the server has hung up already.
		err := c.conn.WriteMessage(nil, protocol.AppendRequest(nil, &r))
		if err == nil {
			_, err = c.conn.ReadMessage()
		}
		if err == nil {
			t.Errorf("where chunks may have %d bytes, one of %d is answered", allowed, room)
		}
		other.want(protocol.FilesListed, protocol.Request{Type: protocol.ListFiles, Directory: "/"})
	}
}

func TestSizesOutOfRangeAreRefused(t *testing.T) {
	s := serve(t, Options{FileSizeLimit: 1 << 40, MinChunkSize: 10, MaxChunkSize: 20})
	s.write("f", "x")
	c := s.dial()
	for _, size := range []int64{0, -1, -1 << 63, 1 << 40, 1<<63 - 1} {
		r := protocol.Request{Type: protocol.UploadFile, Name: "u", Directory: "/", Size: size, ChunkSize: 10}
		c.want(protocol.IncorrectFileSize, r)
	}
	for _, chunk := range []int64{0, -1, 9, 21, 1<<63 - 1} {
		up := protocol.Request{Type: protocol.UploadFile, Name: "u", Directory: "/", Size: 1, ChunkSize: chunk}
		c.want(protocol.IncorrectChunkSize, up)
		down := protocol.Request{Type: protocol.DownloadFile, Name: "f", Directory: "/", ChunkSize: chunk}
		c.want(protocol.IncorrectChunkSize, down)
	}
	largest := protocol.Request{Type: protocol.UploadFile, Name: "u", Directory: "/", Size: 1<<40 - 1, ChunkSize: 20}
	c.want(protocol.TransferAccepted, largest)
}

func TestInvalidNamesAreRefused(t *testing.T) {
	c := serve(t, Options{}).dial()
	names := []string{"", ".", "..", "a/b", "/", strings.Repeat("n", 256), strings.Repeat("n", 1<<16)}
	for _, forbidden := range `<>:"/\|?*` {
		names = append(names, "a"+string(forbidden)+"b")
	}
	for _, name := range names {
		for _, kind := range []protocol.RequestType{protocol.CreateFile, protocol.MakeDirectory, protocol.UploadFile,
			protocol.DownloadFile, protocol.RemoveFile} {
			r := protocol.Request{Type: kind, Name: name, Directory: "/", Size: 1, ChunkSize: 512}
			if got := c.request(r); got.Type != protocol.Refused || got.Reason != protocol.InvalidFileName {
				t.Errorf("%v of %.20q: answer %s", kind, name, describe(got))
			}
		}
	}
	c.want(protocol.FileCreated, protocol.Request{Type: protocol.CreateFile, Name: strings.Repeat("n", 255),
		Directory: "/"})
}

// TestEmbeddedNullByte: as the original, whose file system calls raise that.
func TestEmbeddedNullByte(t *testing.T) {
	c := serve(t, Options{}).dial()
	for _, r := range []protocol.Request{
		{Type: protocol.ListFiles, Directory: "/a\x00"},
		{Type: protocol.RemoveFile, Directory: "/\x00", Name: "a"},
		{Type: protocol.DownloadFile, Directory: "/", Name: "\x00", ChunkSize: 512},
	} {
		if got := c.want(protocol.UnknownError, r); got.Message != "embedded null byte" {
			t.Errorf("%v: message %q", r.Type, got.Message)
		}
	}
}

func TestMissingDirectories(t *testing.T) {
	s := serve(t, Options{})
	s.write("file", "x")
	c := s.dial()
	for _, test := range []struct {
		kind          protocol.RequestType
		missing, file protocol.Reason
	}{
		{protocol.ListFiles, protocol.FileNotFound, protocol.NotADirectory},
		{protocol.CreateFile, protocol.FileNotFound, protocol.NotADirectory},
		{protocol.MakeDirectory, protocol.FileNotFound, protocol.NotADirectory},
		{protocol.RemoveFile, protocol.FileNotFound, protocol.NotADirectory},
		{protocol.UploadFile, protocol.NotADirectory, protocol.NotADirectory},
		{protocol.DownloadFile, protocol.NotADirectory, protocol.NotADirectory},
	} {
		r := protocol.Request{Type: test.kind, Name: "n", Size: 1, ChunkSize: 512}
		for _, dir := range []string{"/missing", "/missing/deep", "/" + strings.Repeat("n", 300),
			strings.Repeat("/a", 10000), "/..", "/../..", "/missing/.."} {
			r.Directory = dir
			c.want(test.missing, r)
		}
		r.Directory = "/file"
		c.want(test.file, r)
	}
}

func TestReadOnlyServerRefusesChanges(t *testing.T) {
	s := serve(t, Options{ReadOnly: true})
	s.write("f", "content")
	c := s.dial()
	for _, kind := range []protocol.RequestType{protocol.CreateFile, protocol.MakeDirectory, protocol.UploadFile,
		protocol.RemoveFile} {
		r := protocol.Request{Type: kind, Name: "f", Directory: "/", Size: 1, ChunkSize: 512, Replace: true}
		if got := c.want(protocol.UnknownError, r); got.Message != "the server is read-only" {
			t.Errorf("%v: message %q", kind, got.Message)
		}
	}
	if got := c.download("/", "f", 512); string(got) != "content" {
		t.Errorf("content %q", got)
	}
}

func TestMessagesDoNotTellTheServersPaths(t *testing.T) {
	s := serve(t, Options{})
	_, err := s.Server.jail.root.Open("missing")
	for _, err := range []error{err, fmt.Errorf("wrapped: %w", err), fmt.Errorf("read %s", s.jail)} {
		if r := responseTo(err); strings.Contains(r.Message, s.jail) || strings.Contains(r.Message, "missing") {
			t.Errorf("message %q", r.Message)
		}
	}
}

// TestLongAnswerIsNotKept: its memory is given back, that of a chunk is not.
func TestLongAnswerIsNotKept(t *testing.T) {
	a := answer{buf: make([]byte, 0, 1<<20)}
	if a.shrink(1 << 20); cap(a.buf) != 1<<20 {
		t.Error("a buffer of the allowed size was given up")
	}
	if a.shrink(1<<20 - 1); a.buf != nil {
		t.Error("a larger buffer was kept")
	}
}

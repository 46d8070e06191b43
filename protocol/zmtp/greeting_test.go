package zmtp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/remofile/remofile/protocol/zmtp/curve"
)

// TestOnePortServesBothMechanisms has one server and clients of either kind.
func TestOnePortServesBothMechanisms(t *testing.T) {
	encrypts, server := configs(t, false)
	server.Plain = true
	doesNot, _ := configs(t, true)
	for _, client := range []*Config{encrypts, doesNot, encrypts} {
		c, s := pair(t, client, server)
		if err := c.WriteMessage([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		if frames, err := s.ReadMessage(); err != nil || string(frames[0]) != "hello" {
			t.Errorf("plain %v: %q, error %v", client.Plain, frames, err)
		}
	}
}

func TestPlainClientIsToldThatTheServerEncrypts(t *testing.T) {
	_, server := configs(t, false)
	client, _ := configs(t, true)
	address, accepted := listen(t, server)
	if _, err := dial(context.Background(), address, client); !errors.Is(err, ErrPeerEncrypts) {
		t.Errorf("client's error %v, want %v", err, ErrPeerEncrypts)
	}
	if a := <-accepted; !errors.Is(a.err, ErrPeerPlain) {
		t.Errorf("server's error %v, want %v", a.err, ErrPeerPlain)
	}
}

func TestWrongKeyIsToldAtOnce(t *testing.T) {
	client, server := configs(t, false)
	var err error
	if client.Key, _, err = curve.GenerateKeys(); err != nil {
		t.Fatal(err)
	}
	address, accepted := listen(t, server)
	_, err = dial(context.Background(), address, client)
	for _, err := range []error{err, (<-accepted).err} {
		if refused, ok := errors.AsType[*RefusedError](err); !ok || !refused.Key() {
			t.Errorf("error %v, want a refused key", err)
		}
	}
}

// TestNothingSecretGoesToAServerThatDoesNotEncrypt answers an encrypting client with what
// libzmq sends it (a signature and the end, since the mechanisms differ), with a greeting
// of another mechanism and with a refusal. It must hang up, and what it has sent until then must
// not hold its token.
func TestNothingSecretGoesToAServerThatDoesNotEncrypt(t *testing.T) {
	client, _ := configs(t, false)
	refusal := "\x04\x15\x05ERROR\x0etoken refused!"[:2+0x15]
	for name, test := range map[string]struct {
		answer string
		want   error
	}{
		"libzmq":           {string(greeting("")[:10]), io.ErrUnexpectedEOF},
		"NULL":             {string(greeting(MechanismNull)), ErrPeerPlain},
		"NULL and a READY": {string(greeting(MechanismNull)) + "\x04\x06\x05READY", ErrPeerPlain},
		"PLAIN":            {string(greeting("PLAIN")), ErrPeerPlain},
		"a refusal":        {string(greeting(mechanismCurve)) + refusal, nil},
		"no ZeroMQ":        {"HTTP/1.1 400 Bad Request\r\n\r\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", nil},
	} {
		near, far := net.Pipe()
		received := make(chan []byte)
		go func() {
			var got bytes.Buffer
			io.CopyN(&got, far, greetingSize+202)
			far.Write([]byte(test.answer))
			if name == "libzmq" {
				far.Close()
			}
			io.Copy(&got, far)
			received <- got.Bytes()
		}()
		_, err := Client(context.Background(), near, client)
		if err == nil || test.want != nil && !errors.Is(err, test.want) {
			t.Errorf("%s: error %v, want %v", name, err, test.want)
		}
		if got := <-received; bytes.Contains(got, []byte(client.Token)) || len(got) > greetingSize+202 {
			t.Errorf("%s: the server got %q", name, got)
		}
	}
}

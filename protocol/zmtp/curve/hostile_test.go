package curve

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/nacl/box"

	"github.com/remofile/remofile/protocol"
	"github.com/remofile/remofile/protocol/internal/cost"
)

// readAsServer returns what a server's upper side reads of a peer.
func readAsServer(p *peer, cfg *Config) outcome {
	s := Server(p, cfg)
	if _, err := s.Write(plainGreeting); err != nil {
		return outcome{err: err}
	}
	read, err := io.ReadAll(s)
	return outcome{read, err}
}

// readAsClient returns what a client's upper side reads of a peer.
func readAsClient(p *peer, cfg *Config) outcome {
	c := Client(p, cfg)
	if _, err := c.Write(slices.Concat(plainGreeting, readyFrame)); err != nil {
		return outcome{err: err}
	}
	read, err := io.ReadAll(c)
	return outcome{read, err}
}

// publicSecret is the key of boxes with who has a public key of low order, whatever the
// other one is.
func publicSecret() *boxKey {
	key := new([32]byte)
	box.Precompute(key, new([32]byte), new([32]byte))
	return (*boxKey)(key)
}

func TestServerTakesAnHonestVouchOnly(t *testing.T) {
	another, _, err := GenerateKeys()
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		content content
		want    string
	}{
		"an honest one": {honest(metadata), ""},
		"for another transient key": {func(h *client) []byte {
			return vouchedByNew(h, slices.Concat(another[:], h.cfg.ServerKey[:]), metadata)
		}, "curve: malformed vouch"},
		"for another server": {func(h *client) []byte {
			return vouchedByNew(h, slices.Concat(h.public[:], another[:]), metadata)
		}, "curve: malformed vouch"},
		"by another owner": {func(h *client) []byte {
			return slices.Concat(another[:], honest(metadata)(h)[keySize:])
		}, "curve: the box of the vouch can't be opened"},
		"none": {being(make([]byte, keySize+longNonceSize+vouchSize)), "low order"},
	} {
		client, server := configs(t, 0)
		o := readAsServer(newForgedClient(client, test.content).peer(), server)
		accepted := bytes.Equal(o.read, slices.Concat(plainGreeting, readyFrame))
		switch {
		case test.want == "":
			if !accepted {
				t.Errorf("%s: read %q, error %v", name, o.read, o.err)
			}
		case accepted || o.err == nil || !strings.Contains(o.err.Error(), test.want):
			t.Errorf("%s: read %q, error %v, want %s", name, o.read, o.err, test.want)
		}
	}
}

// vouchOfLowOrder is the content of an INITIATE with a key that everybody can vouch with.
func vouchOfLowOrder(low Key) content {
	return func(h *client) []byte {
		return vouched(low, publicSecret(), vouch(h), metadata)
	}
}

// TestKeysOfLowOrderAreRefused seals with what everybody knows where a key is of low order.
func TestKeysOfLowOrderAreRefused(t *testing.T) {
	for _, low := range lowOrder(t) {
		client, server := configs(t, 0)
		nonce := shortNonce(helloNonce)
		hello := slices.Concat([]byte(helloName), make([]byte, helloPadding), low[:], nonce)
		hello = publicSecret().seal(hello, make([]byte, helloProof), fullNonce(helloPrefix, nonce))
		p := wire(slices.Concat(curveGreeting, commandFrame(hello)))
		if o := readAsServer(p, server); o.err != ErrKey || len(p.received) > greetingSize {
			t.Errorf("%x as C': error %v, want %v; %d bytes sent", low, o.err, ErrKey, len(p.received))
		}

		if o := readAsServer(newForgedClient(client, vouchOfLowOrder(low)).peer(), server); o.err == nil || len(o.read) > greetingSize {
			t.Errorf("%x as C: read %q, error %v", low, o.read, o.err)
		}

		f := newForgedServer(server)
		f.public = low
		f.ready = func(*boxKey) []byte { return sealedReady(publicSecret(), readyNonce, []byte(metadata)) }
		if o := readAsClient(f.peer(), client); o.err == nil || len(o.read) > 0 {
			t.Errorf("%x as S': read %q, error %v", low, o.read, o.err)
		}

		c := Client(wire(nil), &Config{ServerKey: low})
		if _, err := c.Write(plainGreeting); err == nil {
			t.Errorf("%x as S: HELLO is sent", low)
		}
	}
}

func TestKnownIsToldOfClientsThatKnowTheKey(t *testing.T) {
	client, server := configs(t, 0)
	stranger, _ := configs(t, 0)
	known := 0
	server.Known = func() { known++ }
	for _, test := range []struct {
		of   *Config
		want int
	}{{stranger, 0}, {client, 1}} {
		known = 0
		readAsServer(newForgedClient(test.of, honest(metadata)).peer(), server)
		if known != test.want {
			t.Errorf("told %d times, want %d", known, test.want)
		}
	}
}

func TestInitiateHasTheNextShortNonce(t *testing.T) {
	for nonce, want := range map[uint64]error{
		helloNonce - 1: errSequence, helloNonce: errSequence, helloNonce + 2: errSequence, 1 << 63: errSequence,
	} {
		client, server := configs(t, 0)
		f := newForgedClient(client, honest(metadata))
		f.initiateNonce = nonce
		if o := readAsServer(f.peer(), server); !errors.Is(o.err, want) {
			t.Errorf("nonce %d: error %v, want %v", nonce, o.err, want)
		}
	}
}

// TestOnlyTheCommandThatIsDueIsTaken sends frames at each stage that come at others, or never.
func TestOnlyTheCommandThatIsDueIsTaken(t *testing.T) {
	message := append([]byte(messageName), make([]byte, 100)...)
	for name, frame := range map[string][]byte{
		"HELLO's size":           commandFrame(make([]byte, helloSize)),
		"WELCOME's size":         commandFrame(make([]byte, welcomeSize)),
		"INITIATE's size":        commandFrame(make([]byte, minInitiate)),
		"READY in clear":         readyFrame,
		"an empty READY":         commandFrame([]byte(readyName)),
		"MESSAGE":                append(appendHeader(nil, 0, len(message)), message...),
		"MESSAGE as a command":   commandFrame(message),
		"PING":                   commandFrame([]byte("\x04PING\x00\x00")),
		"an empty command":       commandFrame(nil),
		"an empty frame":         {0, 0},
		"a command with MORE":    {flagCommand | flagMore, 0},
		"a flag that is nowhere": {flagCommand | 8, 0},
	} {
		client, server := configs(t, 0)
		hello := newForgedClient(client, honest(metadata))
		welcome := newForgedServer(server)
		welcome.ready = func(*boxKey) []byte { return frame }
		for stage, o := range map[string]outcome{
			"HELLO":    readAsServer(wire(slices.Concat(curveGreeting, frame)), server),
			"INITIATE": readAsServer(&peer{steps: []func([]byte) []byte{hello.hello, says(frame)}}, server),
			"WELCOME":  readAsClient(wire(slices.Concat(curveGreeting, frame)), client),
			"READY":    readAsClient(welcome.peer(), client),
		} {
			if o.err == nil || o.err == io.ErrUnexpectedEOF || bytes.Contains(o.read, []byte("READY")) {
				t.Errorf("%s for %s: read %q, error %v", name, stage, o.read, o.err)
			}
		}
	}
}

// TestLongCommandsAreNotRead announces what exceeds the limit, and sends some of it.
func TestLongCommandsAreNotRead(t *testing.T) {
	const left = 100
	for _, header := range []string{
		"\x06\x00\x00\x00\x00\x00\x00\x10\x01", // 4097
		"\x06\x00\x00\x00\x10\x00\x00\x00\x00",
		"\x06\x40\x00\x00\x00\x00\x00\x00\x00",
		"\x06\xff\xff\xff\xff\xff\xff\xff\xff",
	} {
		client, server := configs(t, 0)
		long := append([]byte(header), make([]byte, left)...)
		atHello, atWelcome := wire(slices.Concat(curveGreeting, long)), wire(slices.Concat(curveGreeting, long))
		atInitiate := &peer{steps: []func([]byte) []byte{newForgedClient(client, nil).hello, says(long)}}
		f := newForgedServer(server)
		f.ready = func(*boxKey) []byte { return long }
		atReady := f.peer()
		for p, read := range map[*peer]func() outcome{
			atHello:    func() outcome { return readAsServer(atHello, server) },
			atInitiate: func() outcome { return readAsServer(atInitiate, server) },
			atWelcome:  func() outcome { return readAsClient(atWelcome, client) },
			atReady:    func() outcome { return readAsClient(atReady, client) },
		} {
			cost.Limit(t, handshakeCost, func() {
				if o := read(); !errors.Is(o.err, errTooLarge) || len(p.sent) != left {
					t.Errorf("header %x: error %v, want %v; %d bytes were left, want %d", header, o.err, errTooLarge, len(p.sent), left)
				}
			})
		}
	}
}

// handshakeCost is what a handshake may allocate, in bytes, that of its peer in a test
// included.
const handshakeCost = 64 << 10

func TestLongestMetadataFits(t *testing.T) {
	near, far := memPair()
	client, server := configs(t, 0)
	c, s := Client(near, client), Server(far, server)
	longest := commandFrame(append([]byte(readyName), make([]byte, maxPlain-len(readyName))...))
	said := make(chan error, 1)
	go func() {
		_, err := c.Write(slices.Concat(plainGreeting, longest))
		said <- err
	}()
	mustWrite(t, s, plainGreeting)
	mustRead(t, s, slices.Concat(plainGreeting, longest))
	if err := <-said; err != nil {
		t.Fatal(err)
	}
	mustWrite(t, s, longest)
	mustRead(t, c, slices.Concat(plainGreeting, longest))
	if len(longest) > protocol.MaxCommand {
		t.Errorf("%d bytes in clear", len(longest))
	}
}

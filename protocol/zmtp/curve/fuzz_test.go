package curve

import (
	"bytes"
	"io"
	"slices"
	"testing"

	"github.com/remofile/remofile/protocol/internal/cost"
)

// What a fuzz input is sent as, in a handshake.
const (
	insteadOfAll = iota
	afterHello   // or WELCOME
	insideInitiate
	insideVouch
	insideReady
	asMetadata
	inputs
)

// addCuts adds b and what it is behind each of its frames' beginnings, for all inputs.
func addCuts(f *testing.F, b []byte) {
	for input := range byte(inputs) {
		f.Add(input, b)
		f.Add(input, b[greetingSize:])
		f.Add(input, b[len(b)/2:])
		f.Add(input, []byte(metadata))
		f.Add(input, []byte{})
		f.Add(input, []byte("\x06\x40\x00\x00\x00\x00\x00\x00\x00"))
	}
}

// FuzzServerHandshake is what a stranger sends to a server, sealed as well as can be.
func FuzzServerHandshake(f *testing.F) {
	client, server := configs(f, 0)
	ofClient, _, err := recorded(client, server)
	if err != nil {
		f.Fatal(err)
	}
	addCuts(f, ofClient)
	f.Fuzz(func(t *testing.T, input byte, b []byte) {
		var p *peer
		input %= inputs
		switch input {
		case insteadOfAll:
			p = wire(b)
		case afterHello:
			p = &peer{steps: []func([]byte) []byte{newForgedClient(client, nil).hello, says(b)}}
		case insideInitiate:
			p = newForgedClient(client, being(b)).peer()
		case insideVouch:
			p = newForgedClient(client, vouching(b)).peer()
		default:
			p = newForgedClient(client, honest(string(b))).peer()
		}
		cost.Limit(t, handshakeCost+8*uint64(len(b)), func() {
			o := readAsServer(p, server)
			want := []byte(nil)
			if input >= insideReady && len(b) <= maxPlain-len(readyName) {
				want = slices.Concat(plainGreeting, plainReady(b))
			}
			if got := bytes.TrimPrefix(o.read, plainGreeting); want == nil && len(got) > 0 {
				t.Errorf("a stranger's %q is read", got)
			} else if want != nil && !bytes.Equal(o.read, want) {
				t.Errorf("metadata %q is read as %q, error %v", b, o.read, o.err)
			}
		})
	})
}

// FuzzClientHandshake is what a client can get from a server, or from somebody else.
func FuzzClientHandshake(f *testing.F) {
	client, server := configs(f, 0)
	_, ofServer, err := recorded(client, server)
	if err != nil {
		f.Fatal(err)
	}
	addCuts(f, ofServer)
	f.Fuzz(func(t *testing.T, input byte, b []byte) {
		forged := newForgedServer(server)
		p := forged.peer()
		input %= inputs
		switch input {
		case insteadOfAll:
			p = wire(b)
		case afterHello:
			p = wire(slices.Concat(curveGreeting, b))
		case insideInitiate, insideVouch: // of a server: what stands for WELCOME's content
			forged.content = b
		case insideReady:
			forged.ready = func(*boxKey) []byte { return b }
		default:
			forged.ready = func(session *boxKey) []byte { return sealedReady(session, readyNonce, b) }
		}
		cost.Limit(t, handshakeCost+8*uint64(len(b)), func() {
			o := readAsClient(p, client)
			got := bytes.TrimPrefix(o.read, plainGreeting)
			switch {
			case input == asMetadata && (len(got) > 0 || len(b) <= maxPlain-len(readyName)): // a longer one may be refused
				if !bytes.Equal(got, plainReady(b)) {
					t.Errorf("metadata %q is read as %q, error %v", b, got, o.err)
				}
			case len(got) > 0 && !isError(got):
				t.Errorf("a stranger's %q is read", got)
			}
		})
	})
}

// isError reports whether b is one ERROR command, which anybody can send.
func isError(b []byte) bool {
	var s splitter
	rest, whole, err := s.split(b)
	return err == nil && whole && len(rest) == 0 && bytes.HasPrefix(s.frame, []byte("\x02"+errorName))
}

// FuzzRead is all that a peer sends after the handshake. The input is a list of
// operations, each of a byte that says which, one that is a length, and so many bytes:
// a MESSAGE of them with each of the flags, one that is tampered with, and raw bytes.
func FuzzRead(f *testing.F) {
	const most = 200
	f.Add([]byte("\x00\x05hello\x01\x05world\x02\x00\x03\x03abc"))
	f.Add([]byte("\x00\x05hello\x07\x05world\x00\x01!"))
	f.Add([]byte("\x00\x05hello\x08\x05world\x00\x01!"))
	f.Add([]byte("\x00\x05hello\x09\x09\x02\x40\x00\x00\x00\x00\x00\x00\x00"))
	f.Add(append([]byte{0, most}, make([]byte, most)...))
	f.Add(append([]byte{0, most + 1}, make([]byte, most+1)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := newSession(t, most)
		var sent, want []byte
		for good := true; len(b) >= 2; {
			operation, n := b[0]%10, min(int(b[1]), len(b)-2)
			body := b[2:][:n]
			b = b[2+n:]
			switch operation {
			case 9:
				sent = append(sent, body...)
				good = good && len(body) == 0
			case 8:
				m := s.message(0, body)
				sent = append(sent, edited(m, len(m)-1, m[len(m)-1]^1)...)
				good = false
			default: // flags, of which more than two bits are none
				sent = append(sent, s.message(operation, body)...)
				good = good && operation <= messageMore|messageCommand && n <= most
				if good {
					flags := operation & messageMore
					if operation&messageCommand != 0 {
						flags |= flagCommand
					}
					want = append(want, plainFrame(flags, body)...)
				}
			}
		}
		cost.Limit(t, 16<<10+8*uint64(len(sent)), func() {
			c := &Conn{Conn: wire(sent), opener: newOpener(clientPrefix, s.key, sequence{}, most)}
			if got, err := io.ReadAll(c); !bytes.Equal(got, want) {
				t.Errorf("read %q, error %v, want %q", got, err, want)
			}
		})
	})
}

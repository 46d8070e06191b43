package integration

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/remofile/remofile/protocol"
	"github.com/remofile/remofile/protocol/zmtp/curve"
	"github.com/remofile/remofile/remote"
)

// attack is what one kind of hostile peer does.
type attack struct {
	name   string
	only   string // the one mechanism with which it makes sense; "" is both
	member bool   // it begins when the server has accepted the token
	ended  ending
	do     func(p *peer)
}

// ending is what becomes of an attacker's connection.
type ending int

const (
	atOnce ending = iota // the server hangs up, and a stranger does not get its whole time for the handshake
	inTime               // the server hangs up when the time for the handshake is over
	never                // the server has no reason to hang up
)

// strangers do not know the token.
var strangers = []attack{
	{name: "frame of 2^62 bytes", do: func(p *peer) { p.greet(); p.send(longHeader(0, 1<<62)) }},
	{name: "frame of 64 GiB", do: func(p *peer) { p.greet(); p.send(longHeader(0, 64<<30)); p.flood(p.nc, make([]byte, 1<<20)) }},
	{name: "READY of 1 GiB", do: func(p *peer) {
		p.greet()
		p.send(longHeader(flagCommand, 1<<30), []byte("\x05READY"))
		p.flood(p.nc, make([]byte, 1<<20))
	}},
	{name: "empty frames without end", do: func(p *peer) { p.greet(); p.flood(p.nc, emptyFrames) }},
	{name: "READY of a cut name", do: func(p *peer) { p.introduce("\x01a") }},
	{name: "READY of a cut value", do: func(p *peer) { p.introduce("\x03ab") }},
	{name: "empty READY", do: func(p *peer) { p.introduce("") }},
	{name: "empty identity", do: func(p *peer) { p.introduce(metadata("")) }},
	{name: "identity of 256 bytes", do: func(p *peer) { p.introduce(metadata(strings.Repeat("x", 256))) }},
	{name: "identity of 5000 bytes", only: null, do: func(p *peer) { p.introduce(metadata(strings.Repeat("x", 5000))) }},
	{name: "identity twice", do: func(p *peer) { p.introduce(metadata(token) + property("identity", token)) }},
	{name: "no socket type", do: func(p *peer) { p.introduce(property("Identity", token)) }},
	{name: "unknown socket type", do: func(p *peer) { p.introduce(property("Socket-Type", "SOCKET") + property("Identity", token)) }},
	{name: "wrong token", do: func(p *peer) { p.introduce(metadata(token[1:])) }},
	{name: "PINGs instead of READY", do: func(p *peer) { p.greet(); p.flood(p.nc, pings) }},
	{name: "random commands", do: func(p *peer) { p.greet(); p.flood(p.nc, frame{flagCommand, random(200)}.bytes()) }},
	{name: "random bytes", only: null, do: func(p *peer) { p.flood(p.nc, random(1<<16)) }},
	{name: "HTTP", only: null, do: func(p *peer) {
		p.send([]byte("GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: a browser\r\nAccept: */*\r\n\r\n"))
	}},
	{name: "TLS", only: null, do: func(p *peer) { tls.Client(p.nc, &tls.Config{InsecureSkipVerify: true}).Handshake() }},
	{name: "HELLO for another key", only: encrypted, do: func(p *peer) {
		p.encrypt(curve.Key{9})
		p.introduce(metadata(token))
	}},
	{name: "random HELLO", only: encrypted, do: func(p *peer) {
		p.greet()
		hello := append([]byte("\x05HELLO\x01\x00"), make([]byte, 72)...)
		p.send(frame{flagCommand, append(hello, random(200-len(hello))...)}.bytes())
	}},
	{name: "INITIATE of 1 GiB", only: encrypted, do: func(p *peer) {
		p.initiate(func([]byte) []byte { return append(longHeader(flagCommand, 1<<30), make([]byte, 1<<20)...) })
	}},
	{name: "INITIATE of 5000 bytes", only: encrypted, do: func(p *peer) {
		p.initiate(func([]byte) []byte { return frame{flagCommand, make([]byte, 5000)}.bytes() })
	}},
	{name: "INITIATE of random bytes", only: encrypted, do: func(p *peer) {
		p.initiate(func(b []byte) []byte { return append(b[:len(b)-300], random(300)...) })
	}},
	{name: "forged INITIATE", only: encrypted, do: func(p *peer) {
		p.initiate(func(b []byte) []byte { b[len(b)-1] ^= 1; return b })
	}},
}

// silent ones do not know it either, and wait.
var silent = []attack{
	{name: "silence", ended: inTime, do: func(p *peer) {}},
	{name: "half a greeting", ended: inTime, do: func(p *peer) { p.send(greetingOf(p.mechanism)[:32]) }},
	{name: "nothing after the greeting", ended: inTime, do: func(p *peer) { p.greet() }},
	{name: "half a command", ended: inTime, do: func(p *peer) { p.greet(); p.send(frame{flagCommand, make([]byte, 200)}.bytes()[:100]) }},
	{name: "nothing after HELLO", only: encrypted, ended: inTime, do: func(p *peer) { p.stream.Write(greetingOf(null)) }},
	{name: "nothing after WELCOME", only: encrypted, ended: inTime, do: func(p *peer) { p.initiate(func([]byte) []byte { return nil }) }},
	{name: "half an INITIATE", only: encrypted, ended: inTime, do: func(p *peer) { p.initiate(func(b []byte) []byte { return b[:len(b)/2] }) }},
	{name: "a byte now and then", ended: inTime, do: func(p *peer) { p.trickle(p.nc, greetingOf(p.mechanism)) }},
}

// members know the token, which makes them no better.
var members = []attack{
	{name: "frame of 2^62 bytes", do: func(p *peer) { p.send(longHeader(0, 1<<62)) }},
	{name: "frame of 64 GiB", do: func(p *peer) { p.send(longHeader(0, 64<<30)); p.flood(p.nc, make([]byte, 1<<20)) }},
	{name: "message of 1 MiB", do: func(p *peer) { p.stream.Write(frame{0, make([]byte, 1<<20)}.bytes()) }},
	{name: "empty frames without end", do: func(p *peer) { p.flood(p.stream, emptyFrames) }},
	{name: "command of 5000 bytes", do: func(p *peer) { p.stream.Write(frame{flagCommand, make([]byte, 5000)}.bytes()) }},
	{name: "random bytes", do: func(p *peer) { p.flood(p.nc, append([]byte{0xff}, random(1<<16)...)) }},
	{name: "random MESSAGE", only: encrypted, do: func(p *peer) { p.send(frame{0, append([]byte("\x07MESSAGE"), random(200)...)}.bytes()) }},
	{name: "MESSAGE twice", only: encrypted, do: func(p *peer) {
		p.nc.rewrite = func(_ int, b []byte) []byte { return slices.Concat(b, b) }
		p.stream.Write([]byte(ping))
	}},
	{name: "random messages", ended: never, do: func(p *peer) {
		go io.Copy(io.Discard, p.stream) // ends with the connection
		for range 300 {
			p.stream.Write(slices.Concat([]byte{flagMore, 0}, frame{0, random(100)}.bytes()))
		}
	}},
	{name: "unknown commands", ended: never, do: func(p *peer) { p.flood(p.stream, bytes.Repeat([]byte("\x04\x08\x05WHAT?xx"), 1000)) }},
	{name: "PINGs", ended: never, do: func(p *peer) {
		go io.Copy(io.Discard, p.stream) // ends with the connection
		p.flood(p.stream, pings)
	}},
	{name: "PINGs, and PONGs are not read", ended: never, do: func(p *peer) { p.flood(p.stream, pings) }},
	{name: "asks for long listings and reads none", ended: never, do: func(p *peer) {
		p.flood(p.stream, bytes.Repeat(message(protocol.Request{Type: protocol.ListFiles, Directory: "/long"}), 100))
	}},
	{name: "asks for a large file and reads nothing", ended: never, do: func(p *peer) {
		p.stream.Write(message(protocol.Request{Type: protocol.DownloadFile, Name: "large", Directory: "/", ChunkSize: protocol.DefaultMaxChunkSize}))
		p.flood(p.stream, bytes.Repeat(message(protocol.Request{Type: protocol.ReceiveChunk}), 100))
	}},
}

// loiterers know the token, and wait.
var loiterers = []attack{
	{name: "silence", ended: never, do: func(p *peer) { <-p.over }},
	{name: "half a frame", ended: never, do: func(p *peer) { p.send(longHeader(0, 1<<16), make([]byte, 1<<15)); <-p.over }},
	{name: "half a message", ended: never, do: func(p *peer) { p.stream.Write(frame{flagMore, make([]byte, 1<<15)}.bytes()); <-p.over }},
	{name: "half an upload", ended: never, do: func(p *peer) {
		name := "half " + strings.ReplaceAll(p.nc.LocalAddr().String(), ":", " ")
		p.stream.Write(message(protocol.Request{Type: protocol.UploadFile, Name: name, Directory: "/", Size: 8000, ChunkSize: 4000}))
		p.stream.Write(message(protocol.Request{Type: protocol.SendChunk, Data: make([]byte, 4000)}))
		<-p.over
	}},
	{name: "a byte now and then", ended: never, do: func(p *peer) { p.trickle(p.nc, longHeader(0, 1<<16)) }},
}

// campaign is all that the peers of one mechanism do to a server.
type campaign struct {
	server    *serverProcess
	crowd     int // peers that do the same at the same time
	mechanism string
	over      chan struct{} // closed when those that stay have to go
}

// begin has a crowd begin the same attack. It returns when all are connected, or let in;
// they have ended when done has.
func (c *campaign) begin(a attack, sourceOf func(i int) net.IP) (done *sync.WaitGroup) {
	var begun sync.WaitGroup
	done = new(sync.WaitGroup)
	if a.only != "" && a.only != c.mechanism {
		return done
	}
	for i := range c.crowd {
		begun.Add(1)
		done.Go(func() {
			p, err := c.enter(a, sourceOf(i))
			begun.Done()
			if err == nil {
				err = p.attack(a)
			}
			if err != nil {
				c.server.t.Errorf("%s, token known %v, %s: %v", c.mechanism, a.member, a.name, err)
			}
		})
	}
	begun.Wait()
	return done
}

// enter connects, and does the handshake where the attack comes after it.
func (c *campaign) enter(a attack, source net.IP) (*peer, error) {
	p, err := c.server.newPeer(source, c.mechanism)
	if err != nil || !a.member {
		return p, err
	}
	p.over = c.over
	if err := p.introduce(metadata(token)); err != nil {
		p.nc.Close()
		return nil, fmt.Errorf("not let in: %w", err)
	}
	return p, nil
}

// attack returns an error where the server does not end the connection as it should.
func (p *peer) attack(a attack) error {
	defer p.nc.Close()
	a.do(p)
	if a.ended == never {
		return nil
	}
	limit := patience
	switch {
	case a.ended == inTime:
		limit += protocol.HandshakeTimeout
	case !a.member:
		limit = protocol.HandshakeTimeout / 2
	}
	if err := p.nc.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, p.nc); errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("the server has not hung up in %v", limit)
	}
	return nil
}

// run sends those that stay and those that keep silent, while the others come one kind
// after the other. The silent ones have ended when done has.
func (c *campaign) run() (done []*sync.WaitGroup) {
	var staying []*sync.WaitGroup
	for _, a := range withToken(loiterers) {
		staying = append(staying, c.begin(a, c.server.crowdSource))
	}
	// All silent ones come from one address: so it is they that have to go when there
	// are too many.
	source := c.server.newSource()
	for _, a := range silent {
		done = append(done, c.begin(a, func(int) net.IP { return source }))
	}
	for _, a := range strangers {
		c.begin(a, c.server.crowdSource).Wait()
	}
	close(c.over)
	for _, s := range staying {
		s.Wait()
	}
	for _, a := range withToken(members) {
		c.begin(a, c.server.crowdSource).Wait()
	}
	c.hangUp()
	return done
}

func withToken(attacks []attack) []attack {
	attacks = slices.Clone(attacks)
	for i := range attacks {
		attacks[i].member = true
	}
	return attacks
}

// crowdSource has one of a crowd come from where the honest clients are.
func (s *serverProcess) crowdSource(i int) net.IP {
	if i == 0 {
		return net.IPv4(127, 0, 0, 1)
	}
	return s.newSource()
}

// hangUp has clients that know the token hang up after each part of what they have to
// say.
func (c *campaign) hangUp() {
	var all sync.WaitGroup
	for i := range c.crowd {
		all.Go(func() {
			ctx, hungUp := context.WithCancel(context.Background())
			defer hungUp()
			o := remote.Options{Address: c.server.address, Token: token, Plain: c.mechanism == null, MaxSessions: 1,
				Timeout: patience, Dial: c.server.dialFor(50*i, hungUp)} // of about 1900 bytes
			dialAndUse(ctx, o, fmt.Sprintf("/%s %d", c.mechanism, i), 1000) // it fails, as it should
		})
	}
	all.Wait()
}

// TestHostilePeers has a crowd of each kind while a client goes on using the server.
func TestHostilePeers(t *testing.T) {
	s := startServerProcess(t)
	makeLong(t, s.jail)
	stop := s.startBystander()
	var silence []*sync.WaitGroup
	for _, mechanism := range []string{null, encrypted} {
		c := &campaign{server: s, crowd: 40, mechanism: mechanism, over: make(chan struct{})}
		silence = append(silence, c.run()...)
	}
	for _, done := range silence {
		done.Wait()
	}
	stop()
	s.mustRecover()
	nothingCalled(t, filepath.Join(s.jail, "half *"))
	nothingCalled(t, filepath.Join(s.jail, stagingPattern))
}

// makeLong makes in the jail what takes long to be read: the directory long, whose listing is
// long (protocol.LongListing), and the file large.
func makeLong(t *testing.T, jail string) {
	t.Helper()
	long := filepath.Join(jail, "long")
	run(t, "mkdir", long)
	for i := range 10_000 {
		write(t, filepath.Join(long, fmt.Sprintf("file %d", i)), "")
	}
	run(t, "truncate", "-s", "64M", filepath.Join(jail, "large"))
}

// TestHalfOpenConnectionsDelayNobody compares how long it takes to dial and list without
// connections whose handshake has got stuck, and with 200 of them.
func TestHalfOpenConnectionsDelayNobody(t *testing.T) {
	const halfOpen, bound = 200, 100 * time.Millisecond
	s := startServerProcess(t)
	options := remote.Options{Address: s.address, Token: token, Timeout: patience}
	plain := options
	plain.Plain = true
	without, withoutPlain := medianDial(t, options), medianDial(t, plain)

	for i := range halfOpen {
		p := s.mustConnect(encrypted)
		switch i % 3 {
		case 1:
			p.greet()
		case 2:
			p.stream.Write(greetingOf(encrypted)) // with HELLO
		}
	}
	with, withPlain := medianDial(t, options), medianDial(t, plain)
	if n := s.usage().goroutines - s.before.goroutines; n < halfOpen {
		t.Fatalf("of %d half-open connections, %d are left", halfOpen, n)
	}
	t.Logf("dial and list: encrypted %v without, %v with; plain %v and %v", without, with, withoutPlain, withPlain)
	if with > without+bound || withPlain > withoutPlain+bound {
		t.Errorf("half-open connections make a new client wait more than %v", bound)
	}
}

// mustConnect returns a peer that stays until the end of the test.
func (s *serverProcess) mustConnect(mechanism string) *peer {
	s.t.Helper()
	p, err := s.newPeer(s.newSource(), mechanism)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { p.nc.Close() })
	return p
}

// medianDial returns how long it takes to dial and list, as a rule.
func medianDial(t *testing.T, o remote.Options) time.Duration {
	t.Helper()
	took := make([]time.Duration, 41)
	for i := range took {
		began := time.Now()
		c, err := remote.Dial(t.Context(), o)
		if err == nil {
			_, err = c.List(t.Context(), "/")
		}
		took[i] = time.Since(began)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	slices.Sort(took)
	return took[len(took)/2]
}

// TestStrangersKeepNobodyOut has twice as many connections in the handshake as there may
// be, each from an address of its own.
func TestStrangersKeepNobodyOut(t *testing.T) {
	s := startServerProcess(t)
	for range 2 * protocol.MaxUnauthenticated {
		s.mustConnect(null).greet()
	}
	for i := range 20 {
		o := remote.Options{Address: s.address, Token: token, Timeout: patience, Plain: i%2 == 0}
		if err := dialAndUse(t.Context(), o, bystanderFile, bystanderSize); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.usage().goroutines - s.before.goroutines; n < protocol.MaxUnauthenticated-1 {
		t.Errorf("%d strangers are left, not as many as there may be", n)
	}
}

package curve

import (
	"slices"
)

// forgedClient is a client that keeps to the protocol until INITIATE, whose content it
// makes up.
type forgedClient struct {
	client
	initiateNonce uint64
	initiating    content
}

// content returns what is in the box of INITIATE.
type content func(h *client) []byte

func newForgedClient(cfg *Config, initiating content) *forgedClient {
	return &forgedClient{client: client{cfg: cfg}, initiateNonce: initiateNonce, initiating: initiating}
}

func (f *forgedClient) peer() *peer {
	return &peer{steps: []func([]byte) []byte{f.hello, f.initiate}}
}

func (f *forgedClient) hello([]byte) []byte {
	own := wire(nil)
	f.conn = &Conn{Conn: own}
	if err := f.greet(); err != nil {
		panic(err)
	}
	return own.received
}

func (f *forgedClient) initiate(received []byte) []byte {
	if len(received) < greetingSize+shortHeader+welcomeSize {
		return nil
	}
	if err := f.receiveWelcome(received[greetingSize+shortHeader:][:welcomeSize]); err != nil {
		panic(err)
	}
	nonce := shortNonce(f.initiateNonce)
	command := slices.Concat([]byte(initiateName), f.cookie, nonce)
	return commandFrame(f.session.seal(command, f.initiating(&f.client), fullNonce(initiatePrefix, nonce)))
}

// vouched is the content of an INITIATE in which the owner of public vouches.
func vouched(public Key, key *boxKey, content []byte, metadata string) []byte {
	nonce := make([]byte, longNonceSize)
	b := slices.Concat(public[:], nonce)
	return append(key.seal(b, content, fullNonce(vouchPrefix, nonce)), metadata...)
}

// vouchedByNew is vouched with a new long-term key.
func vouchedByNew(h *client, content []byte, metadata string) []byte {
	public, private, err := GenerateKeys()
	if err != nil {
		panic(err)
	}
	shared, err := sharedKey(&h.server, &private)
	if err != nil {
		panic(err)
	}
	return vouched(public, shared, content, metadata)
}

// vouch is what a client vouches for.
func vouch(h *client) []byte { return slices.Concat(h.public[:], h.cfg.ServerKey[:]) }

// honest is a content that is all right.
func honest(metadata string) content {
	return func(h *client) []byte { return vouchedByNew(h, vouch(h), metadata) }
}

// vouching is a content that vouches for b.
func vouching(b []byte) content {
	return func(h *client) []byte { return vouchedByNew(h, b, metadata) }
}

// being is a content of b alone.
func being(b []byte) content {
	return func(*client) []byte { return b }
}

// forgedServer is a server that keeps to the protocol until it sends its transient key,
// and READY, if it is there.
type forgedServer struct {
	cfg             *Config
	public, private Key // transient
	// content is what is in the box of WELCOME, nil for what ought to be.
	content []byte
	// ready returns READY.
	ready func(session *boxKey) []byte

	client Key
}

func newForgedServer(cfg *Config) *forgedServer {
	f := &forgedServer{cfg: cfg}
	var err error
	if f.public, f.private, err = GenerateKeys(); err != nil {
		panic(err)
	}
	return f
}

func (f *forgedServer) peer() *peer {
	return &peer{steps: []func([]byte) []byte{says(curveGreeting), f.welcome, f.readyOf}}
}

func (f *forgedServer) welcome(received []byte) []byte {
	f.client = Key(received[greetingSize+shortHeader+len(helloName)+helloPadding:][:keySize])
	hello, err := sharedKey(&f.client, &f.cfg.PrivateKey)
	if err != nil {
		panic(err)
	}
	content := f.content
	if content == nil {
		content = slices.Concat(f.public[:], make([]byte, cookieSize))
	}
	nonce := make([]byte, longNonceSize)
	command := slices.Concat([]byte(welcomeName), nonce)
	return commandFrame(hello.seal(command, content, fullNonce(welcomePrefix, nonce)))
}

func (f *forgedServer) readyOf([]byte) []byte {
	if f.ready == nil {
		return nil
	}
	session, err := sharedKey(&f.client, &f.private)
	if err != nil {
		panic(err)
	}
	return f.ready(session)
}

// sealedReady returns the frame of a READY.
func sealedReady(session *boxKey, nonce uint64, metadata []byte) []byte {
	short := shortNonce(nonce)
	command := slices.Concat([]byte(readyName), short)
	return commandFrame(session.seal(command, metadata, fullNonce(readyPrefix, short)))
}

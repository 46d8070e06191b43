package curve

import (
	"slices"
)

// forgedClient is a client that keeps to the protocol until INITIATE, whose content it
// makes up.
type forgedClient struct {
	client
	initiateNonce uint64
	// content returns what is in the box of INITIATE.
	content func(h *client) []byte
}

func newForgedClient(cfg *Config, content func(h *client) []byte) *forgedClient {
	return &forgedClient{client: client{cfg: cfg}, initiateNonce: initiateNonce, content: content}
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
	return commandFrame(f.session.seal(command, f.content(&f.client), fullNonce(initiatePrefix, nonce)))
}

// vouched is the content of an INITIATE, whose vouch for transient and server is made
// with the given pair.
func vouched(h *client, public Key, vouch *boxKey, transient, server Key) []byte {
	nonce := make([]byte, longNonceSize)
	content := slices.Concat(public[:], nonce)
	content = vouch.seal(content, slices.Concat(transient[:], server[:]), fullNonce(vouchPrefix, nonce))
	return append(content, metadata...)
}

// forgedServer is a server that keeps to the protocol until it sends its transient key,
// and READY, if it is there.
type forgedServer struct {
	cfg             *Config
	public, private Key // transient
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
	nonce := make([]byte, longNonceSize)
	command := slices.Concat([]byte(welcomeName), nonce)
	return commandFrame(hello.seal(command, slices.Concat(f.public[:], make([]byte, cookieSize)), fullNonce(welcomePrefix, nonce)))
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

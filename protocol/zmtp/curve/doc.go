// Package curve encrypts a connection with CURVE, under ZMTP as crypto/tls lies under
// HTTP: RFC 25 and 26/ZeroMQ, with the keys of NaCl (X25519, XSalsa20, Poly1305). What the
// upper side reads and writes is ZMTP 3.0 with the mechanism NULL; what travels is ZMTP
// with CURVE, which libzmq understands.
//
// # Handshake
//
// Each side has a long-term pair of keys, C and c of the client, S and s of the server (the
// small letter is the private one), and makes a transient pair for the connection, C' and
// c', S' and s'. The client knows S.
//
//	client                          server
//	greeting, HELLO    ->
//	                   <-           greeting, WELCOME or ERROR
//	INITIATE           ->
//	                   <-           READY or ERROR
//	MESSAGE            <->          MESSAGE
//
// A greeting is RFC 23's. All commands but ERROR hold a box. "Box X to Y" is sealed with x
// and Y and opened with y and X: who has neither x nor y can't read it, nor make one. It is
// 16 bytes longer than its content. Its nonce of 24 bytes is a prefix, in quotes below, and
// the nonce that the command carries. Offsets and sizes in bytes; numbers are big-endian:
//
//	HELLO, in a frame with the flag COMMAND, as all but MESSAGE
//	    0   6  "\x05HELLO"
//	    6   2  version: 1, 0
//	    8  72  zeros, so that WELCOME is no longer than what asks for it
//	   80  32  C'
//	  112   8  short nonce          "CurveZMQHELLO---"
//	  120  80  box C' to S
//	             0  64  zeros
//	WELCOME
//	    0   8  "\x07WELCOME"
//	    8  16  long nonce, random   "WELCOME-"
//	   24 144  box S to C'
//	             0  32  S'
//	            32  96  cookie
//	INITIATE
//	    0   9  "\x08INITIATE"
//	    9  96  cookie
//	  105   8  short nonce          "CurveZMQINITIATE"
//	  113 144+ box C' to S'
//	             0  32  C
//	            32  16  long nonce, random   "VOUCH---"
//	            48  80  box C to S', the vouch
//	                      0  32  C'
//	                     32  32  S
//	           128      metadata of the client's READY
//	READY
//	    0   6  "\x05READY"
//	    6   8  short nonce          "CurveZMQREADY---"
//	   14  16+ box S' to C'
//	             0      metadata of the server's READY
//	MESSAGE, in a frame without flags
//	    0   8  "\x07MESSAGE"
//	    8   8  short nonce          "CurveZMQMESSAGEC" of a client, "CurveZMQMESSAGES" of a server
//	   16  17+ box C' to S', or S' to C'
//	             0   1  flags of a frame: 1 MORE, 2 COMMAND
//	             1      its body
//	ERROR
//	    0   6  "\x05ERROR"
//	    6   1  length of the reason
//	    7      reason
//
// The short nonces of a direction count its commands, by one: whoever leaves one out,
// repeats one or changes their order ends the connection, as does whoever changes a byte.
// Where RFC 26 leaves a choice, or libzmq takes less:
//
//	padding of HELLO     must be zeros (libzmq does not look)
//	cookie               random: the server remembers the connection instead
//	vouch                C' and S are both compared (libzmq: C')
//	short nonces         each the last one and 1 (libzmq: any higher one)
//	C                    new for each connection: nobody asks who the client is
//	as-server            1 in a server's greeting, not looked at in the peer's (libzmq: 0)
//	COMMAND on MESSAGE   not sent, tolerated; MORE is an error
//	flags in MESSAGE     others than 1 and 2 are an error
//
// # What is protected
//
// What the upper sides say after the greeting (metadata, with the client's identity in it,
// commands and frames) is read by nobody else, and arrives whole and in order up to where
// the connection ends. The server proves that it has s before the client says any of that.
// Who the client is, the server learns from the metadata alone.
//
// Lengths and times are seen. Whoever can change what the network carries can end a
// connection at any time, during the handshake with an ERROR: neither proves anything.
//
// Whoever gets hold of s can play the server from then on, but can't read what was recorded
// before (forward secrecy): that takes c' or s', which both sides forget as soon as they
// have made the key of the connection.
//
// # Limits
//
// During the handshake a peer's greeting and the one command that is due are read, of at
// most protocol.MaxCommand bytes; after it, frames of at most Config.MaxFrame bytes. Each
// length is checked before anything is allocated for it.
package curve

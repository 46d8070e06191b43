// Package zmtp turns a network connection into one that carries messages between
// authenticated peers: handshake and framing over ZMTP 3 (RFC 23/ZMTP), one session
// to a connection.
//
// From the network up there are: the link (deadlines, buffers), the greeting, CURVE
// (package curve) unless the connection is plain, zmq4's handshake, and framing of
// ours on reused buffers. The limits stand in the comment of package protocol.
//
// # Handshake
//
// A server is a ROUTER, a client a DEALER (or a REQ). The server sends the first 12
// bytes of its greeting, reads the client's greeting, and goes on with the same
// mechanism: CURVE, or NULL where it serves plain clients, too. A server that does not
// goes on with CURVE, whatever it was offered, and hangs up. A client that encrypts
// sends its greeting and HELLO at once, and hangs up on any other mechanism than
// CURVE: what it has sent by then holds no secret. Where the server hangs up before it has
// told its mechanism, as libzmq does, the client asks for that by the first 12 bytes of a
// greeting, on another connection, to be able to say what is wrong.
//
// A client of CURVE has a pair of keys as well: a server asks for no particular one, any
// fresh pair will do. libzmq does not tell its user that it was refused: no answer comes,
// so a receive timeout is needed there.
//
// The token, in UTF-8, travels as the socket identity in the client's metadata (READY, or under
// CURVE INITIATE, encrypted), which the server checks, in constant time, before it
// sends its own. Both sides put X-Remofile into their metadata: the highest Remofile
// protocol that they speak, in decimal.
//
// A peer that is turned away gets an ERROR command, and the connection is closed. The
// reason is one of
//
//	key refused     the HELLO is not for the server's key
//	token refused
//	in use: ...     by whom and since when
//
// Nobody has proved anything by an ERROR: it ends the attempt to connect, and changes
// nothing about the next one.
//
// # The key of a server that has only its token
//
// Where no keys are configured, the server's key pair is derived from the token, by both
// sides. That the server can open HELLO proves to the client that it knows the token
// before the client sends it. The private key, 32 bytes that X25519 clamps (RFC 7748), is
//
//	token of 22 characters, each one of 23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz
//	    HKDF-SHA256 (RFC 5869): the token as input, the salt below, no info, 32 bytes
//	any other token
//	    Argon2id (RFC 9106, version 0x13): the token as password, the salt below,
//	    2 passes, 19456 KiB, 1 lane, 32 bytes
//	salt
//	    "Remofile token key 1", 20 bytes of ASCII
//
// The first are what generate-token makes, with 122 random bits; any other token may be one
// that can be guessed. Whoever records a connection can try tokens on its HELLO: 2 passes over
// 19 MiB each. Test vectors, the private key and its public key in Z85:
//
//	"qRkVWJcFRqi7rsNMbagaDd"   FU.drEG?7+i!Jm@9{6AT>VZ%P4VEj7N%VeMdgOpd 7IM!Hn.u:&kzeL@G3Ye!yL1B-!F-!lr{x{6=>CFd
//	"2222222222222222222222"   !QMl{(%w$Cj!}S9aIIl%.3BKn?nZ714k3tzZh1%4 0aBDRWRD8XU@pTi&@7g46f@J}r{m*hEfW3-5A(#l
//	"secret"                   G&)I)ji1Cw}bn+SO}nH>h*u/xQp+=%feb6l2e6O- Q-DlDUz>FrA>QJNu6EMf@-Z-XMAhT3p0ppi{R-m.
//	"correct horse"            S0AvZ5m4sbrY#YL}{%dxo7/zBo%w#jmg4gwRlalU etiTWQmW.=rz9RIxfK6u3]t8?&StD/bOAc4Nca2O
//
// Whoever knows the token can play the server. Who knows only the public key of a configured
// pair, can't.
package zmtp

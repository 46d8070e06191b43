package fs_test

import (
	"bytes"
	"context"
	"net"
)

// dialOlder connects to a server that then seems to speak Remofile 1 only: the number in its
// READY is another one. The connection has to be plain for that.
func dialOlder(ctx context.Context, address string) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &older{Conn: c}, nil
}

type older struct {
	net.Conn
	seen []byte // of the handshake, up to the number
	done bool
}

// announced is what stands before the number: the name of the property and the length of its
// value, RFC 23.
var announced = []byte("X-Remofile\x00\x00\x00\x01")

func (o *older) Read(p []byte) (int, error) {
	n, err := o.Conn.Read(p)
	if o.done {
		return n, err
	}
	before := len(o.seen)
	o.seen = append(o.seen, p[:n]...)
	if i := bytes.Index(o.seen, announced); i >= 0 && i+len(announced) < len(o.seen) {
		p[i+len(announced)-before] = '1'
		o.done, o.seen = true, nil
	}
	return n, err
}

package remote

import (
	"context"
	"errors"
	"slices"

	"github.com/remofile/remofile/protocol/remofile2/compression"
	"github.com/remofile/remofile/protocol/zmtp"
)

// dialer opens connections to one server.
type dialer struct {
	opts  Options // complete
	cfg   zmtp.Config
	codec *compression.Codec // of the payloads of all sessions
}

// connect dials and authenticates, both within one silence timeout.
func (d *dialer) connect(ctx context.Context) (*zmtp.Conn, error) {
	timed, cancel := context.WithTimeout(ctx, d.opts.Timeout)
	defer cancel()
	var conn *zmtp.Conn
	nc, err := d.opts.Dial(timed, d.opts.Address)
	if err == nil {
		conn, err = zmtp.Client(timed, nc, &d.cfg)
	}
	if err != nil && !d.opts.Plain && hungUp(err) {
		err = d.explain(timed, err)
	}
	switch {
	case err == nil:
		return conn, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case timed.Err() != nil:
		return nil, &Error{Code: Timeout}
	default:
		return nil, d.opts.undialled(err)
	}
}

// explain asks a server that hung up in the handshake what it speaks: libzmq gives no
// reason, neither where it does not encrypt, nor where the key is wrong.
func (d *dialer) explain(ctx context.Context, hungUp error) error {
	nc, err := d.opts.Dial(ctx, d.opts.Address)
	if err != nil {
		return hungUp
	}
	mechanism, err := zmtp.ServerMechanism(nc)
	switch {
	case err != nil:
		return hungUp
	case mechanism == zmtp.MechanismNull:
		return zmtp.ErrPeerPlain
	default:
		return zmtp.ErrKeyRefused
	}
}

// failure returns the error of an operation with what it was doing. The end of a session is
// the error of all its requests: err stays as it is.
func (d *dialer) failure(op, path string, err error) error {
	if err == nil {
		return nil
	}
	var e *Error
	switch {
	case !errors.As(err, &e):
		e = &Error{Err: err}
	case e.Op != "":
		return err
	}
	complete := Error{Op: op, Path: path, Code: e.Code, Err: e.Err}
	if slices.Contains(serverCodes, e.Code) {
		complete.Path = d.opts.Address
	}
	return &complete
}

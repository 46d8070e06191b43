package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os/signal"
	"syscall"
	"time"

	"github.com/remofile/remofile/server"
)

// shutdownTime is how long a server that ends waits for requests under way.
const shutdownTime = 5 * time.Second

// notGiven is --file-size-limit where it has its default, which depends on the protocol.
const notGiven = -1

// serverFlags are the flags and arguments of run and start.
type serverFlags struct {
	Address       string        `placeholder:"ADDRESS" help:"Address to listen on (all)."`
	FileSizeLimit int64         `default:"-1" placeholder:"BYTES" help:"Refuse files of more bytes (in Remofile 1 4294967296, none in Remofile 2)."`
	StagingLimit  int64         `placeholder:"BYTES" help:"Bound on the bytes of all uploads under way (0: none)."`
	MinChunkSize  int           `default:"512" placeholder:"BYTES" help:"Smallest chunk that a client may use (${default})."`
	MaxChunkSize  int           `default:"8192" placeholder:"BYTES" help:"Largest chunk that a client may use (${default})."`
	PrivateKey    keyText       `env:"REMOFILE_PRIVATE_KEY" placeholder:"KEY" help:"Private key (see generate-keys), or @ and the file that has it. Only clients with its public key are served then. A key that is given here shows in the process list."`
	EncryptedOnly bool          `help:"Refuse clients that don't encrypt. A private key implies it."`
	ReadOnly      bool          `help:"Refuse every change."`
	PortableNames bool          `help:"Refuse names that not every system takes: with < > : \" / \\ | ? or * in them."`
	Grace         time.Duration `default:"1m" placeholder:"TIME" help:"How long a session is kept that lost its connection (${default})."`
	Exclusive     bool          `help:"Serve one client at a time."`
	LogLevel      string        `default:"info" enum:"debug,info,warn,error" placeholder:"LEVEL" help:"Log from this level on: debug, info, warn or error (${default})."`
	LogFormat     string        `default:"text" enum:"text,json" placeholder:"FORMAT" help:"Format of the log: text or json (${default})."`

	Directory string `arg:"" help:"Directory to serve."`
	Port      string `arg:"" optional:"" default:"6768" help:"Port to listen on (${default}); 0: any that is free."`
	Token     string `arg:"" optional:"" env:"REMOFILE_TOKEN" help:"Secret of the clients. Without one, a new token is printed."`
}

// prepare checks what can be checked before a server runs, and makes a token
// where there is none.
func (f *serverFlags) prepare(out *output) error {
	if f.FileSizeLimit == 0 || f.FileSizeLimit < notGiven || f.MinChunkSize < 1 || f.MaxChunkSize < 1 {
		return usage("--file-size-limit, --min-chunk-size and --max-chunk-size must be greater than 0", "")
	}
	if f.MinChunkSize > f.MaxChunkSize {
		return usage("--min-chunk-size must not be greater than --max-chunk-size", "")
	}
	if err := checkPort(f.Port, 0); err != nil {
		return err
	}
	if err := checkLocalDirectory(f.Directory); err != nil {
		return asUsage(err)
	}
	if err := f.findPrivateKey(out); err != nil {
		return err
	}
	if f.Token == "" {
		f.Token = server.GenerateToken()
		return out.printf("%s\n", f.Token)
	}
	return nil
}

// findPrivateKey reads the key from its file, if it is in one: a process in the
// background gets the key itself.
func (f *serverFlags) findPrivateKey(out *output) error {
	if f.PrivateKey == "" {
		return nil
	}
	key, err := privateKey(out, string(f.PrivateKey))
	f.PrivateKey = keyText(key)
	return err
}

// options returns the options of the server, which logs to w.
func (f *serverFlags) options(w io.Writer) (server.Options, error) {
	var level slog.Level
	err := level.UnmarshalText([]byte(f.LogLevel))
	return server.Options{
		Jail:          f.Directory,
		Token:         f.Token,
		PrivateKey:    string(f.PrivateKey),
		EncryptedOnly: f.EncryptedOnly,
		FileSizeLimit: max(f.FileSizeLimit, 0),
		Grace:         f.Grace,
		PortableNames: f.PortableNames,
		Version:       version(),
		MinChunkSize:  f.MinChunkSize,
		MaxChunkSize:  f.MaxChunkSize,
		StagingLimit:  f.StagingLimit,
		ReadOnly:      f.ReadOnly,
		Exclusive:     f.Exclusive,
		Logger:        newLogger(w, level, f.LogFormat == "json"),
	}, err
}

// serve runs the server until ctx ends. Once it accepts connections it says so
// and calls ready.
func (f *serverFlags) serve(ctx context.Context, out *output, ready func() error) error {
	saveMemory()
	// A reader of the log that goes away must not end the server.
	signal.Ignore(syscall.SIGPIPE)
	log := &heldLog{w: out.stderr}
	defer log.release()
	o, err := f.options(log)
	if err != nil {
		return err
	}
	s, err := server.New(o)
	if err != nil {
		return asUsage(err)
	}
	address := joinHostPort(f.Address, f.Port)
	l, err := net.Listen("tcp", address)
	if err != nil {
		hint := "--address takes an address of this machine"
		if errors.Is(err, syscall.EADDRINUSE) {
			hint = "another port can be given after DIRECTORY"
		}
		return errors.Join(failed(address+": "+cause(err), hint), s.Close())
	}
	out.notef("listening on %s", l.Addr())
	log.release()
	return runServer(ctx, s, l, ready)
}

// runServer serves l until ctx ends, and waits for the server's end.
func runServer(ctx context.Context, s *server.Server, l net.Listener, ready func() error) error {
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()

	err := ready()
	if err == nil {
		select {
		case <-ctx.Done():
		case err = <-served:
			return err
		}
	}
	grace, cancel := context.WithTimeout(context.Background(), shutdownTime)
	defer cancel()
	shut := s.Shutdown(grace)
	<-served
	if err == nil && !errors.Is(shut, context.DeadlineExceeded) {
		err = shut // sessions cut after the grace are no failure
	}
	return err
}

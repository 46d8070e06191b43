package main

import (
	"context"
	"fmt"
	"math"
	"net"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/remofile/remofile/remote"
)

// connection is what every client command has: how to reach the server.
type connection struct {
	Hostname  string  `env:"REMOFILE_HOSTNAME" placeholder:"HOST" group:"Server:" help:"Host name or address of the server."`
	Port      string  `env:"REMOFILE_PORT" default:"6768" placeholder:"PORT" group:"Server:" help:"Port of the server (${default})."`
	Token     string  `env:"REMOFILE_TOKEN" placeholder:"TOKEN" group:"Server:" help:"Token of the server."`
	PublicKey keyText `env:"REMOFILE_PUBLIC_KEY" placeholder:"KEY" group:"Server:" help:"Public key of the server, where it has a private key."`
	Plain     bool    `env:"REMOFILE_PLAIN" group:"Server:" help:"Don't encrypt: send the token and all data in clear, as a Python server needs it."`
	Timeout   int64   `short:"t" default:"3600" placeholder:"MS" group:"Server:" help:"Longest silence of the server, in milliseconds (${default})."`
}

// options checks the flags and variables.
func (c *connection) options() (remote.Options, error) {
	var missing []string
	if c.Hostname == "" {
		missing = append(missing, "REMOFILE_HOSTNAME")
	}
	if c.Token == "" {
		missing = append(missing, "REMOFILE_TOKEN")
	}
	if len(missing) > 0 {
		return remote.Options{}, usage("not set: "+strings.Join(missing, ", "),
			"set REMOFILE_HOSTNAME, REMOFILE_TOKEN and, unless it is 6768, REMOFILE_PORT, or give --hostname, --token, --port")
	}
	if err := c.checkEncryption(); err != nil {
		return remote.Options{}, err
	}
	if !remote.ValidToken(c.Token) {
		return remote.Options{}, usage("--token: a token has 1 to 255 bytes, the first of them not zero", "")
	}
	if err := checkPort(c.Port, 1); err != nil {
		return remote.Options{}, err
	}
	if c.Timeout < 1 || c.Timeout > math.MaxInt32 {
		return remote.Options{}, usage(fmt.Sprintf("--timeout: %d is not a number of milliseconds from 1 to %d",
			c.Timeout, math.MaxInt32), "")
	}
	return remote.Options{
		Address:   joinHostPort(c.Hostname, c.Port),
		Token:     c.Token,
		PublicKey: string(c.PublicKey),
		Plain:     c.Plain,
		Timeout:   time.Duration(c.Timeout) * time.Millisecond,
	}, nil
}

// checkEncryption refuses a bad key, and one that would not be used.
func (c *connection) checkEncryption() error {
	if c.PublicKey == "" {
		return nil
	}
	if c.Plain {
		return usage("--public-key and --plain (REMOFILE_PLAIN) can't both be given",
			"leave out --plain: a server whose public key you have encrypts")
	}
	if err := remote.CheckPublicKey(string(c.PublicKey)); err != nil {
		return usage(err.Error(), "REMOFILE_PUBLIC_KEY takes the public key that rmf generate-keys prints, in single quotes")
	}
	return nil
}

// warn tells of a token that encrypts the connection and can be guessed.
func (c *connection) warn(out *output) {
	if c.Plain || c.PublicKey != "" || remote.StrongToken(c.Token) {
		return
	}
	out.notef("warning: the token is weak: whoever records the connection can try tokens on it; " +
		"use one of rmf generate-token, or keys of rmf generate-keys")
}

// dial connects to the server. The caller closes the client.
func (c *connection) dial(ctx context.Context, out *output) (*remote.Client, error) {
	o, err := c.options()
	if err != nil {
		return nil, err
	}
	c.warn(out)
	return connect(ctx, o)
}

// connect is remote.Dial, with the hint that a user with a public key needs where a server
// does not encrypt.
func connect(ctx context.Context, o remote.Options) (*remote.Client, error) {
	client, err := remote.Dial(ctx, o)
	if err != nil && o.PublicKey != "" {
		err = withHint(err, remote.NotEncrypted, "it is not the server of that public key, or somebody is in between")
	}
	return client, err
}

// checkPort refuses what is no port, or one below lowest.
func checkPort(text string, lowest uint64) error {
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port < lowest {
		return usage(fmt.Sprintf("%q: a port is a number from %d to 65535", text, lowest), "")
	}
	return nil
}

// joinHostPort joins them to an address. An IPv6 address may stand in brackets.
func joinHostPort(host, port string) string {
	if inner, ok := strings.CutPrefix(host, "["); ok {
		host = strings.TrimSuffix(inner, "]")
	}
	return net.JoinHostPort(host, port)
}

// checkRemote refuses a remote path that is not absolute.
func checkRemote(p string) error {
	if strings.HasPrefix(p, "/") {
		return nil
	}
	return usage(fmt.Sprintf("%q: a remote path must be absolute", p), "begin it with /, the directory that is served")
}

// inDirectory returns the path of one name in a remote directory.
func inDirectory(name, directory string) (string, error) {
	if err := checkRemote(directory); err != nil {
		return "", err
	}
	if name == "" || name == "." || name == ".." || strings.Contains(name, "/") {
		return "", usage(fmt.Sprintf("%q: NAME must be the name of one file", name),
			"give the directory as the argument after it")
	}
	return path.Join(directory, name), nil
}

// checkLocalDirectory refuses a local path that is not a directory.
func checkLocalDirectory(p string) error {
	info, err := os.Stat(p)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return failed(p+": not a directory", "")
	}
	return nil
}

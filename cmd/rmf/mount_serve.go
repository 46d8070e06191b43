package main

import (
	"context"
	"errors"
	iofs "io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/remofile/remofile/fs"
	"github.com/remofile/remofile/remote"
	"github.com/remofile/remofile/server"
)

// localChunkSize is the size of the chunks between a mount and the server of its
// own, in bytes.
const localChunkSize = 256 << 10

// serveJail mounts a local directory through a server of its own in this process.
// It returns when that is unmounted, which the end of ctx causes too.
func serveJail(ctx context.Context, out *output, jail, mountpoint string, o fs.Options) error {
	source, err := prepareServe(jail, mountpoint, o)
	if err != nil {
		return err
	}
	token := server.GenerateToken()
	s, err := server.New(server.Options{
		Jail:          jail,
		Token:         token,
		FileSizeLimit: math.MaxInt64,
		MaxChunkSize:  localChunkSize,
		Logger:        o.Logger,
	})
	if err != nil {
		return asUsage(err)
	}
	o.FsName = source
	l := listenInProcess()
	m := mounting{
		out: out,
		dial: remote.Options{
			Address:   "localhost:0", // in messages only
			Token:     token,
			Plain:     true, // nothing leaves the process
			Dial:      l.Dial,
			ChunkSize: localChunkSize,
		},
		directory:  "/",
		mountpoint: mountpoint,
		options:    o,
	}
	// The server outlives the mount.
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	return runServer(serving, s, l, func() error {
		defer stop()
		return m.run(ctx, func() error {
			m.announce(jail)
			return nil
		})
	})
}

// prepareServe makes the two directories where they are missing, and returns the
// full path of the jail. Neither may be in the other: the mount would hide the
// jail, or show itself.
func prepareServe(jail, mountpoint string, o fs.Options) (string, error) {
	missing := []string{jail, mountpoint}
	if _, err := os.Stat(mountpoint); !errors.Is(err, iofs.ErrNotExist) {
		if err := checkMountpoint(mountpoint, o); err != nil {
			return "", err
		}
		missing = missing[:1] // a dead mount can't be asked whether it is there
	}
	source, err := resolve(jail)
	if err != nil {
		return "", asUsage(err)
	}
	target, err := resolve(mountpoint)
	if err != nil {
		return "", asUsage(err)
	}
	if contains(source, target) || contains(target, source) {
		return "", usage(jail+" and "+mountpoint+": one is the other, or in it", "mount on a directory beside the one to serve")
	}
	for _, p := range missing {
		if err := os.MkdirAll(p, 0o777); err != nil {
			return "", asUsage(err)
		}
	}
	return source, nil
}

// resolve returns the absolute path of p without symbolic links. What does not
// exist of it, or is a dead mount, is taken as it is.
func resolve(p string) (string, error) {
	p, err := filepath.Abs(p)
	if err != nil {
		return "", err
	}
	resolved, err := filepath.EvalSymlinks(p)
	if !errors.Is(err, iofs.ErrNotExist) && !errors.Is(err, syscall.ENOTCONN) {
		return resolved, err
	}
	above, err := resolve(filepath.Dir(p))
	return filepath.Join(above, filepath.Base(p)), err
}

// contains reports whether inner is outer, or in it.
func contains(outer, inner string) bool {
	return inner == outer || strings.HasPrefix(inner, strings.TrimSuffix(outer, "/")+"/")
}

package main

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/alecthomas/kong"
)

type startCommand struct {
	serverFlags
	pidfileFlag
	daemonFlag
}

func (*startCommand) Help() string {
	return `It returns when the server accepts connections, or with the reason why it doesn't.
The log goes where standard error goes if that is a file, else nowhere.

Example:

	rmf start /srv/music 6768 2> server.log
	rmf stop`
}

func (c *startCommand) Run(ctx context.Context, out *output, command *kong.Context) error {
	if err := c.prepare(out); err != nil {
		return err
	}
	if !c.Detached {
		if err := makeAbsolute(&c.Directory, &c.Pidfile); err != nil {
			return err
		}
		return detach(ctx, command)
	}
	held, err := claimPidfile(c.Pidfile)
	if err != nil {
		return err
	}
	err = c.serve(ctx, out, detached)
	return errors.Join(err, held.remove())
}

// makeAbsolute makes paths independent of the working directory.
func makeAbsolute(paths ...*string) error {
	for _, p := range paths {
		absolute, err := filepath.Abs(*p)
		if err != nil {
			return err
		}
		*p = absolute
	}
	return nil
}

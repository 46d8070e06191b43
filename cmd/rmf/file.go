package main

import (
	"context"
	"errors"

	"github.com/remofile/remofile/remote"
)

type fileCommand struct {
	creation
}

func (*fileCommand) Help() string {
	return `Example:

	rmf file notes.txt /documents`
}

func (c *fileCommand) Run(ctx context.Context, out *output) error {
	return c.create(ctx, out, (*remote.Client).CreateFile, false)
}

// creation has the flags and arguments of file and folder.
type creation struct {
	Update    bool   `short:"u" help:"Do nothing, successfully, when it exists."`
	Name      string `arg:"" help:"Its name."`
	Directory string `arg:"" optional:"" default:"/" help:"Remote directory to create it in (${default})."`
	connection
}

// create makes a file or a directory by the given method. With -u one of the same
// kind that exists will do.
func (c *creation) create(ctx context.Context, out *output, method func(*remote.Client, context.Context, string) error, directory bool) error {
	path, err := inDirectory(c.Name, c.Directory)
	if err != nil {
		return err
	}
	client, err := c.dial(ctx, out)
	if err != nil {
		return err
	}
	defer client.Close()

	err = method(client, ctx, path)
	if !c.Update || !errors.Is(err, remote.Exists) {
		return withHint(err, remote.Exists, "-u does nothing when it exists")
	}
	entry, err := client.Stat(ctx, path)
	switch {
	case err != nil:
		return err
	case entry.IsDir() && !directory:
		return failed(path+": it is a directory", "")
	case !entry.IsDir() && directory:
		return failed(path+": it is not a directory", "")
	}
	return nil
}

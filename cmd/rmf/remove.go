package main

import (
	"context"
	"path"
	"strings"
)

type removeCommand struct {
	Recursive bool   `short:"r" help:"Remove a directory with all that is in it."`
	Name      string `arg:"" help:"Name of a file or a directory in DIRECTORY, or an absolute path."`
	Directory string `arg:"" optional:"" help:"Remote directory that it is in (/)."`
	connection
}

func (*removeCommand) Help() string {
	return `Examples:

	rmf remove notes.txt /documents
	rmf remove -r /documents/old`
}

func (c *removeCommand) Run(ctx context.Context, out *output) error {
	path, err := c.path()
	if err != nil {
		return err
	}
	client, err := c.dial(ctx, out)
	if err != nil {
		return err
	}
	defer client.Close()

	if c.Recursive {
		return client.RemoveAll(ctx, path)
	}
	return client.Remove(ctx, path)
}

// path returns the path to remove.
func (c *removeCommand) path() (string, error) {
	if !strings.HasPrefix(c.Name, "/") {
		directory := c.Directory
		if directory == "" {
			directory = "/"
		}
		return inDirectory(c.Name, directory)
	}
	if c.Directory != "" {
		return "", usage("an absolute path and a DIRECTORY can't both be given", "")
	}
	if path.Clean(c.Name) == "/" {
		return "", usage("/: the served directory itself can't be removed", "")
	}
	return path.Clean(c.Name), nil
}

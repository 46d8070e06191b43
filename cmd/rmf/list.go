package main

import (
	"bufio"
	"context"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/remofile/remofile/remote"
)

// maxDepth bounds the depth of a listed tree: through symbolic links of the
// server a directory can show itself again and again.
const maxDepth = 200

type listCommand struct {
	All       bool   `short:"a" help:"Show kind (d: directory), size in bytes and modification time, too."`
	Long      bool   `short:"l" help:"The same as --all."`
	Recursive bool   `short:"r" help:"List the whole tree, with names relative to DIRECTORY."`
	Directory string `arg:"" optional:"" default:"/" help:"Remote directory to list (${default})."`
	connection
}

func (*listCommand) Help() string {
	return `Names come sorted, one a line, a directory before what is in it.

Example:

	rmf list -l /music`
}

func (c *listCommand) Run(ctx context.Context, out *output) error {
	if err := checkRemote(c.Directory); err != nil {
		return err
	}
	client, err := c.dial(ctx, out)
	if err != nil {
		return err
	}
	defer client.Close()

	w := bufio.NewWriter(out.stdout)
	err = c.list(ctx, client, listing{w, out}, "")
	if flushed := w.Flush(); flushed != nil {
		return stdoutFailed(flushed)
	}
	return err
}

// listing is where names are written.
type listing struct {
	*bufio.Writer // keeps its first error for Flush
	out           *output
}

// list writes the directory at the path relative to c.Directory, "" for that
// itself, and with -r what is below it.
func (c *listCommand) list(ctx context.Context, client *remote.Client, to listing, relative string) error {
	directory := path.Join(c.Directory, relative)
	if strings.Count(relative, "/") == maxDepth {
		return failed(directory+": the tree is too deep; does it contain itself?", "")
	}
	entries, err := client.List(ctx, directory)
	if err != nil {
		return err
	}
	return each(ctx, to.out, entries, func(e remote.Entry) error {
		e.Name = path.Join(relative, e.Name)
		if c.write(to, e) != nil {
			return alreadyTold(exitFailed) // by Run, at Flush
		}
		if !c.Recursive || !e.IsDir() {
			return nil
		}
		return c.list(ctx, client, to, e.Name)
	})
}

// write writes the line of one entry.
func (c *listCommand) write(to listing, e remote.Entry) error {
	if c.All || c.Long {
		kind := '-'
		if e.IsDir() {
			kind = 'd'
		}
		fmt.Fprintf(to, "%c %12d %s ", kind, e.Size, e.Modified.Local().Format(time.DateTime))
	}
	_, err := fmt.Fprintln(to, to.out.name(e.Name))
	return err
}

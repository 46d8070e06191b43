package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/remofile/remofile/remote"
)

type listCommand struct {
	All       bool   `short:"a" help:"Show kind (d: directory, l: symbolic link), size in bytes and modification time, too."`
	Long      bool   `short:"l" help:"The same as --all."`
	Recursive bool   `short:"r" help:"List the whole tree, with names relative to DIRECTORY. Symbolic links are not followed."`
	JSON      bool   `help:"Write one JSON object a line for each name: its kind (file, directory, other), size in bytes and modification time, and whether it is a symbolic link; kind and size are those of what that leads to."`
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
	if c.Recursive {
		err = c.listTree(ctx, client, w, out)
	} else {
		err = c.listDirectory(ctx, client, w, out)
	}
	if flushed := w.Flush(); flushed != nil {
		return stdoutFailed(flushed)
	}
	return err
}

func (c *listCommand) listDirectory(ctx context.Context, client *remote.Client, w *bufio.Writer, out *output) error {
	for e, err := range client.Entries(ctx, c.Directory) {
		if err != nil {
			return err
		}
		if c.write(w, out, e) != nil {
			break // which Flush tells
		}
	}
	return nil
}

// listTree goes on where a directory can't be listed.
func (c *listCommand) listTree(ctx context.Context, client *remote.Client, w *bufio.Writer, out *output) error {
	status := exitDone
	root := strings.TrimSuffix(path.Clean(c.Directory), "/") + "/"
	err := client.Walk(ctx, c.Directory, func(p string, e remote.Entry, err error) error {
		if err != nil {
			if status = max(status, out.report(err)); status > exitFailed {
				return fs.SkipAll
			}
			return nil
		}
		e.Name = strings.TrimPrefix(p, root)
		if c.write(w, out, e) != nil {
			return fs.SkipAll // which Flush tells
		}
		return nil
	})
	if err == nil && status != exitDone {
		err = alreadyTold(status)
	}
	return err
}

// write writes the line of one entry.
func (c *listCommand) write(w *bufio.Writer, out *output, e remote.Entry) error {
	if c.JSON {
		return c.writeJSON(w, e)
	}
	if c.All || c.Long {
		kind := '-'
		switch {
		case e.Link:
			kind = 'l'
		case e.IsDir():
			kind = 'd'
		}
		fmt.Fprintf(w, "%c %12d %s ", kind, e.Size, e.Modified.Local().Format(time.DateTime))
	}
	_, err := fmt.Fprintln(w, out.name(e.Name))
	return err
}

func (*listCommand) writeJSON(w *bufio.Writer, e remote.Entry) error {
	line := struct {
		Name     string    `json:"name"`
		Kind     string    `json:"kind"`
		Size     int64     `json:"size"`
		Modified time.Time `json:"modified"`
		Link     bool      `json:"link"`
	}{e.Name, "other", e.Size, e.Modified.UTC(), e.Link}
	switch {
	case e.Mode.IsRegular():
		line.Kind = "file"
	case e.IsDir():
		line.Kind = "directory"
	}
	return json.NewEncoder(w).Encode(line)
}

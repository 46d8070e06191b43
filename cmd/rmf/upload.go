package main

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/remofile/remofile/remote"
)

type uploadCommand struct {
	transferFlags
	Paths []string `arg:"" name:"path" help:"SOURCE... [DESTINATION]: local files and directories, and the remote directory to bring them to. A single argument is the source; DESTINATION is / then."`
	connection
}

func (*uploadCommand) Help() string {
	return `A file appears in the remote directory when all of it has arrived. A name that
exists there is refused unless --force or --on-conflict says something else. Symbolic
links to files are sent as the files, those to directories are not sent.

An interrupted upload of more than 1 MiB goes on where it stopped when it is run
again within a day.

` + transferHelp + `

Examples:

	rmf upload song.ogg
	rmf upload -r -p albums cover.png /music
	rmf upload -r --on-conflict newer --exclude '*.part' albums /music`
}

func (c *uploadCommand) Run(ctx context.Context, out *output) error {
	sources, destination := split(c.Paths, "/")
	if err := checkRemote(destination); err != nil {
		return err
	}
	if err := checkNames(sources, localName); err != nil {
		return err
	}
	o, err := c.transferFlags.options()
	if err != nil {
		return err
	}
	client, err := c.dial(ctx, out)
	if err != nil {
		return err
	}
	defer client.Close()

	entry, err := client.Stat(ctx, destination)
	if errors.Is(err, remote.NotFound) {
		return withDestinationHint(err)
	}
	if err != nil {
		return err
	}
	if !entry.IsDir() {
		return withDestinationHint(failed(destination+": not a directory", ""))
	}
	return c.run(ctx, out, client.UploadFiles, sources, destination, o)
}

// localName is the name of a local file, also for ".".
func localName(p string) (string, error) {
	absolute, err := filepath.Abs(p)
	return filepath.Base(absolute), err
}

package main

import (
	"context"
	"errors"
	"os"
	"path"
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
exists there is refused unless --force replaces it. Symbolic links to files are
sent as the files, those to directories are not sent.

An interrupted upload of more than 1 MiB goes on where it stopped when it is run
again within a day.

Examples:

	rmf upload song.ogg
	rmf upload -r -p albums cover.png /music`
}

func (c *uploadCommand) Run(ctx context.Context, out *output) error {
	paths, destination := split(c.Paths, "/")
	if err := checkRemote(destination); err != nil {
		return err
	}
	sources, err := named(paths, localName)
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
	bar := newProgress(out, c.Progress)
	return each(ctx, out, sources, func(s source) error {
		defer bar.clear()
		return c.upload(ctx, client, s, path.Join(destination, s.name), bar)
	})
}

func (c *uploadCommand) upload(ctx context.Context, client *remote.Client, s source, to string, bar *progress) error {
	info, err := os.Stat(s.path)
	if err != nil {
		return err
	}
	o := remote.TransferOptions{Replace: c.Force}
	bar.watch(&o)
	switch {
	case info.Mode().IsRegular():
		err = client.UploadFile(ctx, s.path, to, o)
	case !info.IsDir():
		return failed(s.path+": neither a file nor a directory", "")
	case c.Recursive:
		err = client.UploadDirectory(ctx, s.path, to, o)
	default:
		return skipped(s.path)
	}
	return withHint(err, remote.Exists, "--force replaces it")
}

// localName is the name of a local file, also for ".".
func localName(p string) (string, error) {
	absolute, err := filepath.Abs(p)
	return filepath.Base(absolute), err
}

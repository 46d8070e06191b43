package main

import (
	"context"
	"errors"
	"path"
	"path/filepath"

	"github.com/remofile/remofile/remote"
)

type downloadCommand struct {
	transferFlags
	Paths []string `arg:"" name:"path" help:"SOURCE... [DESTINATION]: remote files and directories, and the local directory to bring them to. A single argument is the source; DESTINATION is the current directory then."`
	connection
}

func (*downloadCommand) Help() string {
	return `A file appears in the local directory when all of it has arrived. A name that
exists there is refused unless --force replaces it.

Examples:

	rmf download /music/song.ogg
	rmf download -r -p /music/albums /music/cover.png ~/music`
}

func (c *downloadCommand) Run(ctx context.Context, out *output) error {
	paths, destination := split(c.Paths, ".")
	sources, err := named(paths, remoteName)
	if err != nil {
		return err
	}
	if err := checkLocalDirectory(destination); err != nil {
		return err
	}
	client, err := c.dial(ctx)
	if err != nil {
		return err
	}
	defer client.Close()

	bar := newProgress(out, c.Progress)
	return each(ctx, out, sources, func(s source) error {
		defer bar.clear()
		return c.download(ctx, client, s.path, filepath.Join(destination, s.name), bar)
	})
}

// download tries each source as a file first: only for what turns out to be none
// is it worth to have its directory listed.
func (c *downloadCommand) download(ctx context.Context, client *remote.Client, from, to string, bar *progress) error {
	o := remote.TransferOptions{Replace: c.Force, Progress: bar.chunk}
	err := client.DownloadFile(ctx, from, to, o)
	if errors.Is(err, remote.NotAFile) {
		entry, statErr := client.Stat(ctx, from)
		switch {
		case statErr != nil:
			return statErr
		case !entry.Directory:
			return err
		case !c.Recursive:
			return skipped(from)
		}
		err = client.DownloadDirectory(ctx, from, to, o)
	}
	return withHint(err, remote.Exists, "--force replaces it")
}

func remoteName(p string) (string, error) {
	return path.Base(path.Clean(p)), checkRemote(p)
}

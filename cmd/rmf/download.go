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
exists there is refused unless --force replaces it. Symbolic links to files are
fetched as the files, those to directories are not fetched.

An interrupted download of more than 1 MiB goes on where it stopped when it is run
again within a day. Until then it leaves a file .rmf-part-..., which the next such
download to the directory removes.

Examples:

	rmf download /music/song.ogg
	rmf download -r -p /music/albums /music/cover.png ~/music
	rmf download -r / ~/backup`
}

func (c *downloadCommand) Run(ctx context.Context, out *output) error {
	paths, destination := split(c.Paths, ".")
	sources, err := named(paths, remoteName)
	if err != nil {
		return err
	}
	if err := checkLocalDirectory(destination); err != nil {
		return withDestinationHint(err)
	}
	client, err := c.dial(ctx, out)
	if err != nil {
		return err
	}
	defer client.Close()

	bar := newProgress(out, c.Progress)
	return each(ctx, out, sources, func(s source) error {
		defer bar.clear()
		if s.name == "." {
			return c.downloadRoot(ctx, client, destination, bar)
		}
		return c.download(ctx, client, s.path, filepath.Join(destination, s.name), bar)
	})
}

// download tries each source as a file first: only for what turns out to be none
// is it worth to have its directory listed.
func (c *downloadCommand) download(ctx context.Context, client *remote.Client, from, to string, bar *progress) error {
	o := remote.TransferOptions{Replace: c.Force}
	bar.watch(&o)
	err := client.DownloadFile(ctx, from, to, o)
	if errors.Is(err, remote.NotAFile) {
		entry, statErr := client.Stat(ctx, from)
		switch {
		case statErr != nil:
			return statErr
		case !entry.IsDir():
			return err
		case !c.Recursive:
			return skipped(from)
		}
		err = client.DownloadDirectory(ctx, from, to, o)
	}
	return withHint(err, remote.Exists, "--force replaces it")
}

// downloadRoot brings all that is in the jail, which itself has no name, into the
// local directory to.
func (c *downloadCommand) downloadRoot(ctx context.Context, client *remote.Client, to string, bar *progress) error {
	if !c.Recursive {
		return skipped("/")
	}
	o := remote.TransferOptions{Replace: c.Force}
	bar.watch(&o)
	err := client.DownloadDirectory(ctx, "/", to, o)
	return withHint(err, remote.Exists, "--force replaces it")
}

// remoteName is the name under which a remote path arrives; the root's content
// arrives in the destination itself.
func remoteName(p string) (string, error) {
	name := path.Base(path.Clean(p))
	if name == "/" {
		name = "."
	}
	return name, checkRemote(p)
}

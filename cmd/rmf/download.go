package main

import (
	"context"
	"path"
)

type downloadCommand struct {
	transferFlags
	Paths []string `arg:"" name:"path" help:"SOURCE... [DESTINATION]: remote files and directories, and the local directory to bring them to. A single argument is the source; DESTINATION is the current directory then."`
	connection
}

func (*downloadCommand) Help() string {
	return `A file appears in the local directory when all of it has arrived. A name that
exists there is refused unless --force or --on-conflict says something else. Symbolic
links to files are fetched as the files, those to directories are not fetched.

A SOURCE may be a pattern of the server's names, in quotes: * ? [a-z] {a,b}, and ** for
any number of directories. A name that exists as it is given is no pattern.

An interrupted download of more than 1 MiB goes on where it stopped when it is run
again within a day. Until then it leaves a file .rmf-part-..., which the next such
download to the directory removes.

` + transferHelp + `

Examples:

	rmf download /music/song.ogg
	rmf download -r -p /music/albums /music/cover.png ~/music
	rmf download '/music/**/*.ogg' all-songs
	rmf download -r / ~/backup`
}

func (c *downloadCommand) Run(ctx context.Context, out *output) error {
	sources, destination := split(c.Paths, ".")
	if err := checkNames(sources, remoteName); err != nil {
		return err
	}
	o, err := c.transferFlags.options()
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

	return c.run(ctx, out, client.DownloadFiles, sources, destination, o)
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

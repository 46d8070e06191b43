package main

import "github.com/remofile/remofile/fs"

type umountCommand struct {
	Mountpoint string `arg:"" help:"Directory on which a remote one is mounted."`
}

func (*umountCommand) Help() string {
	return `It also unmounts a mount whose process has died. One that is in use is detached: its
path is free at once, open files are still saved when they are closed, and it ends
when all are.

Example:

	rmf umount ~/music`
}

func (c *umountCommand) Run(out *output) error {
	inUse, err := fs.Unmount(c.Mountpoint)
	if inUse {
		out.notef("rmf: %s: in use; it is detached, and ends when its files are closed", c.Mountpoint)
	}
	return err
}

package main

import "github.com/remofile/remofile/fs"

type umountCommand struct {
	Mountpoint string `arg:"" help:"Directory on which a remote one is mounted."`
}

func (*umountCommand) Help() string {
	return `It also unmounts a mount whose process has died.

Example:

	rmf umount ~/music`
}

func (c *umountCommand) Run() error { return fs.Unmount(c.Mountpoint) }

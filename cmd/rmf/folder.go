package main

import (
	"context"

	"github.com/remofile/remofile/remote"
)

type folderCommand struct {
	creation
}

func (*folderCommand) Help() string {
	return `Example:

	rmf folder music /`
}

func (c *folderCommand) Run(ctx context.Context, out *output) error {
	return c.create(ctx, out, (*remote.Client).MakeDirectory, true)
}

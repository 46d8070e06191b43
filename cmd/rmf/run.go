package main

import "context"

type runCommand struct {
	serverFlags
}

func (*runCommand) Help() string {
	return `SIGINT and SIGTERM end the server: transfers under way are cancelled, and nothing
half-written stays visible.

Example:

	rmf run --read-only /srv/music 6768`
}

func (c *runCommand) Run(ctx context.Context, out *output) error {
	if err := c.prepare(out); err != nil {
		return err
	}
	return c.serve(ctx, out, func() error { return nil })
}

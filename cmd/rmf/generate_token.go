package main

import "github.com/remofile/remofile/server"

type generateTokenCommand struct{}

func (*generateTokenCommand) Help() string {
	return `The token has 22 characters, 122 bits of them random, as the original's.

Example:

	export REMOFILE_TOKEN=$(rmf generate-token)`
}

func (*generateTokenCommand) Run(out *output) error {
	return out.printf("%s\n", server.GenerateToken())
}

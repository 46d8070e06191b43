package main

import "github.com/lithammer/shortuuid/v4"

type generateTokenCommand struct{}

func (*generateTokenCommand) Help() string {
	return `The token has 22 characters, 122 bits of them random, as the original's.

Example:

	export REMOFILE_TOKEN=$(rmf generate-token)`
}

func (*generateTokenCommand) Run(out *output) error {
	return out.printf("%s\n", newToken())
}

func newToken() string { return shortuuid.New() }

package main

import "github.com/remofile/remofile/server"

type generateKeysCommand struct{}

func (*generateKeysCommand) Help() string {
	return `The keys are a CURVE key pair, 40 characters of Z85 each. This version can't use
them yet.

Example:

	rmf generate-keys > keys.txt`
}

func (*generateKeysCommand) Run(out *output) error {
	public, private, err := server.GenerateKeys()
	if err != nil {
		return err
	}
	return out.printf("public key: %s\nprivate key: %s\n", public, private)
}

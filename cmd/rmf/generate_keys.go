package main

import "github.com/remofile/remofile/server"

type generateKeysCommand struct{}

func (*generateKeysCommand) Help() string {
	return `The keys are a CURVE key pair, 40 characters of Z85 each. The private key is for the
server alone (--private-key or REMOFILE_PRIVATE_KEY of run and start, which also take
the file with both), the public key for all of its clients (--public-key or
REMOFILE_PUBLIC_KEY): a connection is then encrypted with these and not with the token,
and nobody who only knows the token can play the server. In a shell a key needs single
quotes.

Example:

	(umask 077; rmf generate-keys > keys.txt)
	rmf run --private-key @keys.txt /srv/music
	rmf list --public-key "$(sed -n 's/^public key: //p' keys.txt)"`
}

func (*generateKeysCommand) Run(out *output) error {
	public, private, err := server.GenerateKeys()
	if err != nil {
		return err
	}
	return out.printf(publicKeyLabel+"%s\n"+privateKeyLabel+"%s\n", public, private)
}

package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
)

// maxCredentials bounds a file with credentials, in bytes.
const maxCredentials = 4 << 10

// credentials is what a server asks for.
type credentials struct {
	token     string
	publicKey keyText
	plain     bool
}

// readCredentials reads a file with the lines token=..., public_key=... and plain. Empty lines and those
// that begin with # mean nothing. It warns where others can read the file.
func readCredentials(p string, out *output) (*credentials, error) {
	f, err := os.Open(p)
	if err != nil {
		return nil, asUsage(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		out.notef("warning: %s: others can read it; chmod 600 keeps them out", p)
	}
	var c credentials
	lines := bufio.NewScanner(io.LimitReader(f, maxCredentials))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, _ := strings.Cut(line, "=") // never quoted: it may be a secret
		switch {
		case name == "token":
			c.token = value
		case name == "public_key":
			c.publicKey = keyText(value)
		case line == "plain":
			c.plain = true
		default:
			return nil, usage(fmt.Sprintf("%s: line %d is not token=..., public_key=... or plain", p, n), "")
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if c.token == "" {
		return nil, usage(p+": it has no line token=...", "")
	}
	return &c, nil
}

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"golang.org/x/sys/unix"

	"github.com/remofile/remofile/server"
)

// maxKeyFile bounds a file with a private key, in bytes; keyFileTime how long it takes
// to read one that is a pipe.
const (
	maxKeyFile  = 4 << 10
	keyFileTime = 5 * time.Second
)

// How generate-keys prints a key pair.
const (
	publicKeyLabel  = "public key: "
	privateKeyLabel = "private key: "
)

// keyText is a flag that takes a key. Other than kong's own strings it may begin with
// a hyphen, which is a character of Z85, and no error quotes it.
type keyText string

// Decode implements kong.MapperValue.
func (k *keyText) Decode(ctx *kong.DecodeContext) error {
	token := ctx.Scan.Pop()
	if token.IsEOL() {
		return errors.New("expected a key")
	}
	*k = keyText(strings.TrimSpace(token.String()))
	if *k == "" { // of a command that failed, as a rule: not to be taken for no key
		return errors.New("expected a key, not an empty one")
	}
	return nil
}

// validKey reports whether text is a private key.
func validKey(text string) bool { return server.CheckPrivateKey(text) == nil }

// checkPrivateKey refuses what is no private key. It does not quote it: it may be
// most of one.
func checkPrivateKey(text string) error {
	if err := server.CheckPrivateKey(text); err != nil {
		return usage(err.Error(), "a key is what rmf generate-keys prints, in single quotes, or @ and the file with it")
	}
	return nil
}

// privateKey returns the key that the flag's or the variable's text gives: itself, or
// after an @ the path of a file with it. The @ is a character of Z85 too: text that is a
// key is no path, unless that file exists.
func privateKey(out *output, text string) (string, error) {
	path, named := strings.CutPrefix(text, "@")
	if !named || path == "" || validKey(text) && !exists(path) {
		return text, checkPrivateKey(text)
	}
	return readPrivateKey(out, path)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// readPrivateKey returns the key in the file at path, which has it alone or in a line
// as generate-keys prints it.
func readPrivateKey(out *output, path string) (string, error) {
	content, mode, err := readKeyFile(path)
	if err != nil {
		return "", asUsage(err)
	}
	if mode.Perm()&0o077 != 0 {
		out.notef("warning: %s: others can read or change the private key; chmod 600 keeps it from them", path)
	}
	if text := strings.TrimSpace(content); validKey(text) {
		return text, nil
	}
	for line := range strings.Lines(content) {
		if text, found := strings.CutPrefix(line, privateKeyLabel); found && validKey(strings.TrimSpace(text)) {
			return strings.TrimSpace(text), nil
		}
	}
	return "", usage(path+": it has no private key", "rmf generate-keys prints what it should have")
}

// readKeyFile reads a file that is small, and tells its mode. A pipe that nobody writes
// to is empty; whoever writes to one has keyFileTime.
func readKeyFile(path string) (string, os.FileMode, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", 0, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", 0, err
	}
	// What can't make us wait knows no deadline.
	if err := file.SetReadDeadline(time.Now().Add(keyFileTime)); err != nil && !errors.Is(err, os.ErrNoDeadline) {
		return "", 0, err
	}
	content, err := io.ReadAll(io.LimitReader(file, maxKeyFile+1))
	if err == nil && len(content) > maxKeyFile {
		err = failed(fmt.Sprintf("%s: larger than %d bytes, and so no file with a key", path, maxKeyFile), "")
	}
	return string(content), info.Mode(), err
}

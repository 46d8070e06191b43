package integration

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/remofile/remofile/"

// allowed says which packages of ours a folder may import, and why not more.
var allowed = map[string]struct {
	imports []string
	why     string
}{
	"protocol":                       {nil, "the wire is pure bytes and types: it must not depend on how they travel"},
	"protocol/remofile2":             {nil, "the wire is pure bytes and types: it must not depend on how they travel"},
	"protocol/remofile2/compression": {[]string{"protocol/remofile2"}, "it knows payloads and their limits, not what they are of"},
	"protocol/remofile2/chunks":      {[]string{"protocol/remofile2"}, "it knows chunks, not what they are of"},
	"protocol/zmtp":                  {[]string{"protocol", "protocol/zmtp/curve"}, "connections carry messages, whoever serves or asks"},
	"protocol/zmtp/curve":            {[]string{"protocol"}, "encryption lies under the handshake and knows nothing of it"},
	"server":                         {[]string{"protocol", "protocol/remofile2", "protocol/remofile2/chunks", "protocol/remofile2/compression", "protocol/zmtp", "protocol/zmtp/curve"}, "the server must not know its clients' code"},
	"remote":                         {[]string{"protocol", "protocol/remofile2", "protocol/remofile2/chunks", "protocol/remofile2/compression", "protocol/zmtp", "protocol/zmtp/curve"}, "the client must not know the server's code"},
	"fs":                             {[]string{"remote"}, "the file system knows no wire"},
	"cmd/rmf":                        {[]string{"remote", "server", "fs"}, "a command turns flags into calls of these, and errors of theirs into exit statuses"},
	"integration":                    {nil, "tests only: nothing may be imported by them but by the tests themselves"},
}

// owners says which folder alone may import a library; "" is none, but for tests.
var owners = map[string]string{
	"github.com/alecthomas/kong":        "cmd/rmf",
	"github.com/hanwen/go-fuse":         "fs",
	"github.com/go-zeromq/zmq4":         "protocol/zmtp",
	"github.com/schollz/progressbar":    "cmd/rmf",
	"github.com/restic/chunker":         "protocol/remofile2/chunks",
	"github.com/lithammer/shortuuid":    "server",
	"github.com/kisielk/og-rek":         "",
	"github.com/anishathalye/porcupine": "",
	"github.com/rogpeppe/go-internal":   "",
}

// TestImportArrows holds the dependency arrows between the folders.
func TestImportArrows(t *testing.T) {
	for _, p := range packages(t) {
		folder := folderOf(p.ImportPath)
		rule, known := allowed[folder]
		if !known {
			t.Errorf("%s: no folder of the design; add its arrows here if it is meant to be", p.ImportPath)
			continue
		}
		for _, imported := range p.Imports {
			if path, ours := strings.CutPrefix(imported, module); ours {
				if to := folderOf(imported); to != folder && !slices.Contains(rule.imports, to) {
					t.Errorf("%s imports %s: %s", folder, path, rule.why)
				}
			}
			for library, owner := range owners {
				if owner != folder && strings.HasPrefix(imported, library) {
					t.Errorf("%s imports %s, which only %q may: the rest of the house must not depend on it", folder, imported, owner)
				}
			}
		}
	}
}

type goPackage struct {
	ImportPath string
	Imports    []string
}

func packages(t *testing.T) []goPackage {
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []goPackage
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// folderOf returns the folder of the design that a package belongs to: its path,
// or that of the package whose internal part it is.
func folderOf(importPath string) string {
	folder, _, _ := strings.Cut(strings.TrimPrefix(importPath, module), "/internal/")
	return folder
}

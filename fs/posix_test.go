package fs_test

import (
	"testing"

	"github.com/hanwen/go-fuse/v2/posixtest"
)

// exceptions are the tests of go-fuse's suite that do not hold, and why.
var exceptions = map[string]string{
	"FcntlFlockLocksFile": "it wants a process to be refused what it has locked itself, which fcntl(2) grants",
	"OpenSymlinkRace":     "a name that is another file's at every look is ESTALE, as on NFS",
	"XAttr":               "the protocol carries no extended attributes",
	"XAttrLarge":          "the protocol carries no extended attributes",
}

func TestPOSIX(t *testing.T) {
	m := newMount(t, mountRole{})
	for name, test := range posixtest.All {
		if exceptions[name] != "" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			m.shell(`rm -rf $M/* && mkdir $M/` + name)
			test(t, m.in(name))
		})
	}
}

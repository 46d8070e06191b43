package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestMemoryIsBounded has rmf upload and download a file of 256 MiB (REMOFILE_TEST_FULL=1:
// 5 GiB), and list 100,000 files. Client and server must need less than 64 MiB each.
func TestMemoryIsBounded(t *testing.T) {
	size := "256M"
	if fullSize() {
		size = "5G"
	}
	p := startRmf(t, true)
	local := memoryDir(t)

	source := filepath.Join(local, "file")
	run(t, "truncate", "-s", size, source)
	p.boundedMemory(t, p.command("upload", source))
	run(t, "cmp", source, filepath.Join(p.jail, "file"))
	mustRemove(t, source)
	run(t, "truncate", "-s", "0", filepath.Join(p.jail, "file"))

	run(t, "truncate", "-s", size, filepath.Join(p.jail, "file"))
	p.boundedMemory(t, p.command("download", "/file", local))
	run(t, "cmp", source, filepath.Join(p.jail, "file"))
	mustRemove(t, source)
	mustRemove(t, filepath.Join(p.jail, "file"))

	for i := range 100_000 {
		f, err := os.Create(filepath.Join(p.jail, fmt.Sprintf("a file of many, %d", i)))
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	p.boundedMemory(t, p.command("list"))
	p.boundedMemory(t, p.command("list", "-r", "-l"))
}

// boundedMemory fails the test unless a command and its server need less than 64 MiB each.
func (p *rmfProgram) boundedMemory(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	const bound = 64 << 20
	client := measure(t, cmd, p.server).memory
	server, err := peakMemory(p.server.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%v: the client needs %d MiB, the server has needed %d MiB", cmd.Args[1:], client>>20, server>>20)
	if client >= bound || server >= bound {
		t.Errorf("%v: the client needs %d MiB, the server %d MiB, want less than %d", cmd.Args[1:], client>>20, server>>20, bound>>20)
	}
}

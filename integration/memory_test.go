package integration

import (
	"errors"
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

	makeMany(t, p.jail, 100_000)
	p.boundedMemory(t, p.command("list"))
	p.boundedMemory(t, p.command("list", "-r", "-l"))
}

// TestMemoryOfTheMountIsBounded has a file of 256 MiB (REMOFILE_TEST_FULL=1: 10 GiB) written to a mount and read
// from it, and a directory of 10,000 (100,000) entries listed with ls -l. Mount and server must need less
// than 128 MiB each.
func TestMemoryOfTheMountIsBounded(t *testing.T) {
	mib, entries := int64(256), 10_000
	if fullSize() {
		mib, entries = 10<<10, 100_000
	}
	if err := fuseUsable(); err != nil {
		lacking(t, "nothing can be mounted: "+err.Error())
	}
	p := startRmf(t, true)
	m := &mounted{jail: p.jail, mountpoint: t.TempDir()}
	m.start(t, p.command("mount", "-f", m.mountpoint))
	file := filepath.Join(m.mountpoint, "file")
	size := fmt.Sprint(mib << 20)

	p.boundedMount(t, m, "head -c "+size+" /dev/zero > "+file)
	p.boundedMount(t, m, "cmp -n "+size+" "+file+" /dev/zero; rm "+file)
	makeMany(t, m.jail, entries)
	for range 2 { // the first one makes what the second one finds
		p.boundedMount(t, m, fmt.Sprintf("test $(ls -l %s | wc -l) = %d", m.mountpoint, 1+entries))
	}
	if err := m.end(os.Interrupt); err != nil {
		t.Errorf("after Ctrl-C: %v", err)
	}
}

// boundedMount fails the test unless mount and server need less than 128 MiB each for a script.
func (p *rmfProgram) boundedMount(t *testing.T, m *mounted, script string) {
	t.Helper()
	const bound = 128 << 20
	run(t, "sh", "-e", "-c", script)
	for name, pid := range map[string]int{"mount": m.cmd.Process.Pid, "server": p.server.Process.Pid} {
		memory, err := peakMemory(pid)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: the %s has needed %d MiB", script, name, memory>>20)
		if memory >= bound {
			t.Errorf("%s: the %s needs %d MiB, want less than %d", script, name, memory>>20, bound>>20)
		}
	}
}

// makeMany makes so many empty files.
func makeMany(t *testing.T, dir string, files int) {
	t.Helper()
	for i := range files {
		f, err := os.Create(filepath.Join(dir, fmt.Sprintf("a file of many, %d", i)))
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
}

// TestMemoryOfADeltaIsBounded has rmf synchronize a file of 64 MiB (REMOFILE_TEST_FULL=1: 4 GiB), whose
// chunks both sides make, both ways.
func TestMemoryOfADeltaIsBounded(t *testing.T) {
	size := 64 << 20
	if fullSize() {
		size = 4 << 30
	}
	p := startRmf(t, true)
	local := memoryDir(t)
	here, there := filepath.Join(local, "file"), filepath.Join(p.jail, "file")
	f, err := os.Create(there)
	for range size >> 20 {
		if err == nil {
			_, err = f.Write(random(1 << 20))
		}
	}
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	for _, sync := range []struct {
		source, destination string
		cmd                 *exec.Cmd
	}{{here, there, p.command("sync", "local", local, "/")}, {there, here, p.command("sync", "remote", "/", local)}} {
		run(t, "sh", "-c", "(echo new; cat $0) >$1", sync.destination, sync.source)
		p.boundedMemory(t, sync.cmd)
		run(t, "cmp", sync.source, sync.destination)
	}
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

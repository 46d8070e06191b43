package integration

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// BenchmarkFile has rmf and an rsync daemon copy a file of 128 MiB (REMOFILE_TEST_FULL=1:
// 1 GiB) over loopback and in memory, in turns: see race.
func BenchmarkFile(b *testing.B) {
	size := int64(128 << 20)
	if fullSize() {
		size = 1 << 30
	}
	benchmarkRace(b, func(b *testing.B, path string) {
		f, err := os.Create(path)
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		content := random(1 << 20)
		for range size / int64(len(content)) {
			if _, err := f.Write(content); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkTree does the same with 2,000 files of 4 KiB in 20 directories.
func BenchmarkTree(b *testing.B) {
	benchmarkRace(b, func(b *testing.B, path string) { makeFiles(b, path, 20, 100, 4<<10) })
}

// BenchmarkUnchanged has them synchronise 20,000 files in 200 directories that are the same on both sides
// already, over loopback and through a link of 20 ms round trip and 1 Gbit/s.
func BenchmarkUnchanged(b *testing.B) {
	for _, encrypted := range []bool{false, true} {
		for _, linked := range []bool{false, true} {
			b.Run(fmt.Sprintf("encrypted=%v/link=%v", encrypted, linked), func(b *testing.B) {
				p := startRmf(b, encrypted)
				rmf, rsync := p.copier(), rsyncCopier(b)
				source := filepath.Join(memoryDir(b), "source")
				makeFiles(b, source, 200, 100, 0)
				for _, jail := range []string{rmf.jail, rsync.jail} {
					run(b, "cp", "-a", source, jail)
				}
				if linked {
					p.connectTo(b, startSlowLink(b, p.address, linkDelay, linkRate).address)
					rsync.address = startSlowLink(b, rsync.address, linkDelay, linkRate).address
				}
				race(b, rmf, rsync, func(c *copier) cost { return measure(b, c.sync(source, "source"), c.server) })
			})
		}
	}
}

func benchmarkRace(b *testing.B, makeSource func(b *testing.B, path string)) {
	for _, way := range []string{"upload", "download"} {
		for _, encrypted := range []bool{false, true} {
			name := way + "/plain"
			if encrypted {
				name = way + "/encrypted"
			}
			b.Run(name, func(b *testing.B) {
				source := filepath.Join(memoryDir(b), "source")
				makeSource(b, source)
				race(b, startRmf(b, encrypted).copier(), rsyncCopier(b), func(c *copier) cost { return c.copy(b, source, way) })
			})
		}
	}
}

// copier copies into a jail, or from it.
type copier struct {
	jail     string
	server   *exec.Cmd
	address  string                          // where its client finds the server
	upload   func(source string) *exec.Cmd   // into the jail
	download func(name, to string) *exec.Cmd // of the jail, into a directory
	sync     func(source, name string) *exec.Cmd
}

func (p *rmfProgram) copier() *copier {
	return &copier{
		jail:     p.jail,
		server:   p.server,
		upload:   func(source string) *exec.Cmd { return p.command("upload", "-r", source) },
		download: func(name, to string) *exec.Cmd { return p.command("download", "-r", "/"+name, to) },
		sync: func(source, name string) *exec.Cmd {
			return p.command("sync", "local", "--delete", source, "/"+name)
		},
	}
}

// rsyncCopier starts a daemon of its own, which ends with the benchmark. It sends whole
// files, as rmf does, and does not encrypt.
func rsyncCopier(b *testing.B) *copier {
	b.Helper()
	rsync, err := exec.LookPath("rsync")
	if err != nil {
		lacking(b, "no rsync")
	}
	port, jail := freePort(b), memoryDir(b)
	config := filepath.Join(b.TempDir(), "rsyncd.conf")
	write(b, config, fmt.Sprintf("port = %d\naddress = 127.0.0.1\nuse chroot = no\nreverse lookup = no\n"+
		"[jail]\npath = %s\nread only = no\nuid = %d\ngid = %d\n", port, jail, os.Getuid(), os.Getgid()))
	server := exec.Command(rsync, "--daemon", "--no-detach", "--config="+config)
	if err := server.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		server.Process.Kill()
		server.Wait()
	})
	mustListen(b, fmt.Sprintf("127.0.0.1:%d", port))
	c := &copier{jail: jail, server: server, address: fmt.Sprintf("127.0.0.1:%d", port)}
	url := func(name string) string { return fmt.Sprintf("rsync://%s/jail/%s", c.address, name) }
	c.upload = func(source string) *exec.Cmd { return exec.Command(rsync, "-a", "-W", source, url("")) }
	c.download = func(name, to string) *exec.Cmd { return exec.Command(rsync, "-a", "-W", url(name), to) }
	c.sync = func(source, name string) *exec.Cmd {
		return exec.Command(rsync, "-a", "--delete", source+"/", url(name+"/"))
	}
	return c
}

// freePort returns a port that nobody listens on, at this moment.
func freePort(b *testing.B) int {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func mustListen(b *testing.B, address string) {
	b.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		nc, err := net.Dial("tcp", address)
		if err == nil {
			nc.Close()
			return
		}
		if time.Now().After(deadline) {
			b.Fatal(err)
		}
	}
}

// race has rmf and rsync do the same in turns. It reports what rmf takes (ns/op), how many times
// as long (x-rsync) and as much CPU time (x-rsync-cpu) as rsync, each the median, and the
// largest memory of its client and its server.
func race(b *testing.B, rmf, rsync *copier, do func(*copier) cost) {
	var took, times, cpuTimes []float64
	var memory int64
	for round := 0; b.Loop(); round++ {
		var ours, theirs cost
		if round%2 == 0 {
			ours = do(rmf)
			theirs = do(rsync)
		} else {
			theirs = do(rsync)
			ours = do(rmf)
		}
		memory = max(memory, ours.memory)
		took = append(took, float64(ours.elapsed))
		times = append(times, float64(ours.elapsed)/float64(theirs.elapsed))
		cpuTimes = append(cpuTimes, float64(ours.cpu)/float64(theirs.cpu))
	}
	serverMemory, err := peakMemory(rmf.server.Process.Pid)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(median(took), "ns/op")
	b.ReportMetric(median(times), "x-rsync")
	b.ReportMetric(median(cpuTimes), "x-rsync-cpu")
	b.ReportMetric(float64(memory)/(1<<20), "client-MiB")
	b.ReportMetric(float64(serverMemory)/(1<<20), "server-MiB")
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

// copy uploads or downloads the source, which must arrive.
func (c *copier) copy(b *testing.B, source, way string) (taken cost) {
	b.Helper()
	name := filepath.Base(source)
	there := filepath.Join(c.jail, name)
	if way == "upload" {
		taken = measure(b, c.upload(source), c.server)
	} else {
		to := memoryDir(b)
		run(b, "cp", "-al", source, c.jail)
		taken = measure(b, c.download(name, to), c.server)
		run(b, "diff", "-r", source, filepath.Join(to, name))
		mustRemove(b, to)
	}
	run(b, "diff", "-r", source, there)
	mustRemove(b, there)
	return taken
}

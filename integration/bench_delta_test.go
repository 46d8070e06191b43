package integration

import (
	"io"
	"os"
	"path/filepath"
	"testing"
)

// BenchmarkDelta has rmf (without encryption, as rsync) and an rsync daemon synchronize a file of
// 128 MiB (REMOFILE_TEST_FULL=1: 1 GiB) that differs from the one there by 1 MiB at its front, over
// loopback and in memory, in turns: see race.
func BenchmarkDelta(b *testing.B) {
	size := 128
	if fullSize() {
		size = 1 << 10
	}
	for _, way := range []string{"upload", "download"} {
		b.Run(way, func(b *testing.B) {
			rmf, rsync := startRmf(b, false), rsyncCopier(b)
			old, fresh := filepath.Join(memoryDir(b), "old"), filepath.Join(memoryDir(b), "file")
			makeVersions(b, old, fresh, size)
			var times, cpuTimes, took []float64
			for b.Loop() {
				local := memoryDir(b)
				command := rmf.command("sync", "remote", "/", local)
				theirs := rsync.download("", local)
				if way == "upload" {
					command = rmf.command("sync", "local", local, "/")
					theirs = rsync.upload(local + "/")
				}
				theirs.Args = append(theirs.Args, "--no-whole-file")
				replaced := func(jail string) {
					source, destination := local, jail
					if way == "download" {
						source, destination = jail, local
					}
					run(b, "cp", fresh, filepath.Join(source, "file"))
					run(b, "cp", old, filepath.Join(destination, "file"))
				}
				replaced(rmf.jail)
				ours := measure(b, command, rmf.server)
				run(b, "cmp", filepath.Join(local, "file"), filepath.Join(rmf.jail, "file"))
				replaced(rsync.jail)
				peer := measure(b, theirs, rsync.server)
				run(b, "cmp", filepath.Join(local, "file"), filepath.Join(rsync.jail, "file"))
				took = append(took, float64(ours.elapsed))
				times = append(times, float64(ours.elapsed)/float64(peer.elapsed))
				cpuTimes = append(cpuTimes, float64(ours.cpu)/float64(peer.cpu))
				mustRemove(b, local)
			}
			b.ReportMetric(median(took), "ns/op")
			b.ReportMetric(median(times), "x-rsync")
			b.ReportMetric(median(cpuTimes), "x-rsync-cpu")
		})
	}
}

// makeVersions makes a file of so many MiB, and one that begins with another one.
func makeVersions(b *testing.B, old, fresh string, size int) {
	b.Helper()
	one, err := os.Create(old)
	if err != nil {
		b.Fatal(err)
	}
	defer one.Close()
	other, err := os.Create(fresh)
	if err != nil {
		b.Fatal(err)
	}
	defer other.Close()
	if _, err := other.Write(random(1 << 20)); err != nil {
		b.Fatal(err)
	}
	for i := range size {
		if _, err := io.MultiWriter(one, other).Write(noise(uint64(i), 1<<20)); err != nil {
			b.Fatal(err)
		}
	}
}

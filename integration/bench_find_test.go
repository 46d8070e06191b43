package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// BenchmarkFind has find(1) walk through 2,000 files in 20 directories in a new mount, without encryption, over
// loopback and through a link of 20 ms round trip and 1 Gbit/s. cpu-ms/op is the CPU time of mount and server.
func BenchmarkFind(b *testing.B) {
	for _, linked := range []bool{false, true} {
		name := "loopback"
		if linked {
			name = "link"
		}
		b.Run(name, func(b *testing.B) {
			p := startRmf(b, false)
			makeFiles(b, filepath.Join(p.jail, "tree"), 20, 100, 0)
			if linked {
				p.connectTo(b, startSlowLink(b, p.address, linkDelay, linkRate).address)
			}
			var cpu time.Duration
			for b.Loop() {
				b.StopTimer()
				m := &mounted{jail: p.jail, mountpoint: b.TempDir()}
				m.start(b, p.command("mount", "-f", m.mountpoint))
				before := m.cpuTime(b, p)
				b.StartTimer()
				if err := exec.Command("find", filepath.Join(m.mountpoint, "tree"), "-type", "f").Run(); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				cpu += m.cpuTime(b, p) - before
				if err := m.end(os.Interrupt); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
			b.ReportMetric(float64(cpu.Microseconds())/1000/float64(b.N), "cpu-ms/op")
		})
	}
}

// cpuTime returns what the mount and its server have needed.
func (m *mounted) cpuTime(b *testing.B, p *rmfProgram) time.Duration {
	return cpuTime(b, m.cmd.Process.Pid) + cpuTime(b, p.server.Process.Pid)
}

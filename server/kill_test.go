package server

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/remofile/remofile/protocol"
)

const jailVariable = "REMOFILE_TEST_JAIL"

// TestMain lets the test binary be a server of its own, one that can be killed, or a storage.
func TestMain(m *testing.M) {
	if dir, mountpoint, ok := strings.Cut(os.Getenv(storageVariable), "\n"); ok {
		if err := storageProcess(dir, mountpoint); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if jail := os.Getenv(jailVariable); jail != "" {
		fmt.Fprintln(os.Stderr, serveProcess(jail))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// serveProcess serves a jail and prints its address.
func serveProcess(jail string) error {
	s, err := New(Options{Jail: jail, Token: token})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	return s.Serve(l)
}

// serveKillable starts a server that is a process of its own, in a jail of its own, and
// returns how to kill it.
func serveKillable(t *testing.T) (s *served, kill func()) {
	t.Helper()
	jail := t.TempDir()
	process := exec.Command(os.Args[0])
	process.Env = append(os.Environ(), jailVariable+"="+jail)
	process.Stderr = os.Stderr
	output, err := process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	kill = sync.OnceFunc(func() {
		process.Process.Kill()
		process.Wait()
	})
	t.Cleanup(kill)
	address, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return &served{t: t, jail: jail, address: strings.TrimSpace(address)}, kill
}

func TestKilledServerLeavesTheOldContent(t *testing.T) {
	killed, kill := serveKillable(t)
	jail := killed.jail
	killed.write("old", "old content")
	for _, name := range []string{"new", "old"} {
		c := killed.dial()
		r := uploadRequest(name)
		r.Replace = true
		c.want(protocol.TransferAccepted, r)
		c.want(protocol.ChunkReceived, chunkRequest(pattern(512)))
	}
	kill()
	if len(stagingsIn(t, jail)) != 1 {
		t.Error("the killed server left no staging directory: the test tests nothing")
	}
	if got := killed.read("old"); got != "old content" {
		t.Errorf("content %q", got)
	}
	s := serve(t, Options{Jail: jail})
	if got := s.dial().names("/"); got != "old" {
		t.Errorf("the jail holds %q", got)
	}
	requireNoStaging(t, jail)
}

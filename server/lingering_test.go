package server

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/remofile/remofile/protocol/remofile2"
)

// upload2 uploads a small file in Remofile 2.
func (c *client2) upload2(path string) {
	c.t.Helper()
	c.want(CodeDone, stageRequest(1, path, StageReplace))
	c.want(CodeDone, writeRequest(1, 0), []byte("content")...)
	c.want(CodeDone, commitRequest(1, 0))
	c.want(CodeDone, closeRequest(1))
}

// isAtRest reports whether the jail has no staging directory at its top.
func (s *served) isAtRest() bool {
	names, err := filepath.Glob(filepath.Join(s.jail, stagingPrefix+"*"))
	return err == nil && len(names) == 0
}

// TestStagingLingers: one directory serves uploads one after the other, hidden, until there have
// been none for a while.
func TestStagingLingers(t *testing.T) {
	s := serve(t, Options{})
	s.Server.jail.stagings.linger = time.Hour
	s.mkdir("dir")
	c := s.dial2()
	c.upload2("/first")
	made := stagingsIn(t, s.jail)
	if len(made) != 1 {
		t.Fatalf("staging directories: %q", made)
	}
	c.upload2("/dir/second")
	if now := stagingsIn(t, s.jail); len(now) != 1 || now[0] != made[0] {
		t.Errorf("staging directories: %q, want %q", now, made)
	}
	name := "/" + filepath.Base(made[0])
	c.want(CodeNotFound, pathRequest(OpStat, name))
	c.want(CodeNotFound, Request{Operation: OpList, Path: name, Length: 1000})
	c.want(CodeNotFound, removeRequest(name, RemoveRecursive))
	if got := c.names("/", 1000); len(got) != 2 {
		t.Errorf("listed are %q", got)
	}

	s.Server.jail.stagings.linger = time.Millisecond // the timer asks for it again
	st := s.Server.jail.stagings.place(s.Server.jail.top.fs).staging
	s.Server.jail.stagings.expire(st)
	await(t, "the end of the staging directory", s.isAtRest)
	c.upload2("/third")
	await(t, "the end of the next one", s.isAtRest)
}

// TestStagingThatLingersIsMadeAgain when somebody has removed it, or put a file into it.
func TestStagingThatLingersIsMadeAgain(t *testing.T) {
	s := serve(t, Options{})
	s.Server.jail.stagings.linger = time.Hour
	c := s.dial2()
	c.upload2("/first")
	if err := os.Remove(stagingsIn(t, s.jail)[0]); err != nil {
		t.Fatal(err)
	}
	c.upload2("/second")
	if got := stagingsIn(t, s.jail); len(got) != 1 {
		t.Errorf("staging directories: %q", got)
	}
}

// TestServersEndRemovesStagingThatLingers.
func TestServersEndRemovesStagingThatLingers(t *testing.T) {
	s := serve(t, Options{})
	s.Server.jail.stagings.linger = time.Hour
	s.dial2().upload2("/file")
	if got := stagingsIn(t, s.jail); len(got) != 1 {
		t.Errorf("staging directories: %q", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	requireNoStaging(t, s.jail)
}

// TestStagingOfADirectoryLingersNot: that could not be removed otherwise.
func TestStagingOfADirectoryLingersNot(t *testing.T) {
	s := serve(t, Options{})
	s.Server.jail.stagings.linger = time.Hour
	s.mkdir("mnt")
	mount(t, "none", filepath.Join(s.jail, "mnt"), "tmpfs", 0, "")
	s.dial2().upload2("/mnt/file")
	requireNoStaging(t, s.jail)
}

// TestSessionsEndRemovesStagingThatLingers, but for what others use.
func TestSessionsEndRemovesStagingThatLingers(t *testing.T) {
	s := serve(t, Options{})
	s.Server.jail.stagings.linger = time.Hour
	first, second := s.dial2(), s.dial2()
	first.upload2("/first")
	second.want(CodeDone, stageRequest(1, "/second", 0))
	first.want(CodeDone, Request{Operation: OpGoodbye})
	if got := stagingsIn(t, s.jail); len(got) != 1 {
		t.Errorf("staging directories: %q", got)
	}
	second.want(CodeDone, commitRequest(1, 0))
	second.want(CodeDone, Request{Operation: OpGoodbye})
	requireNoStaging(t, s.jail)
}

package fs_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// writeTree makes a tree of files of many sizes.
func writeTree(t *testing.T, root string) {
	t.Helper()
	random := rand.NewChaCha8([32]byte{1})
	for i, size := range []int{0, 1, 511, 4096, 8192, 8193, 100_000, 1 << 20, 3<<20 + 7} {
		dir := filepath.Join(root, fmt.Sprintf("directory %d", i%3), "sub")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		content := make([]byte, size)
		random.Read(content)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("ä file of %d", size)), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTreesAreCopiedInAndOut(t *testing.T) {
	m := newMount(t, mountRole{})
	source, back := t.TempDir(), t.TempDir()
	writeTree(t, source)
	m.shell(fmt.Sprintf(`
		cp -r %[1]s $M/tree
		diff -r %[1]s $J/tree
		diff -r %[1]s $M/tree
		cp -r $M/tree %[2]s
		diff -r %[1]s %[2]s/tree
		rm -r $M/tree
		test ! -e $J/tree
	`, source, back))
}

// bothProtocols runs a test on a mount on Remofile 2, and on one on Remofile 1.
func bothProtocols(t *testing.T, r mountRole, test func(t *testing.T, m *mounted)) {
	for _, protocol := range []int{2, 1} {
		t.Run(fmt.Sprintf("Remofile %d", protocol), func(t *testing.T) {
			r.Protocol = protocol
			test(t, newMount(t, r))
		})
	}
}

// programCase is a script and what it prints.
type programCase struct{ name, script, want string }

func (m *mounted) runPrograms(t *testing.T, cases []programCase) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := strings.NewReplacer(m.path, "$M", m.jail, "$J").Replace(m.shell(c.script))
			if got != c.want {
				t.Errorf("%s\nprints:\n%s\nwant:\n%s", c.script, got, c.want)
			}
		})
	}
}

func TestPrograms(t *testing.T) {
	cases := []programCase{
		{"a redirection of several commands", `{ echo one; echo two; } > $M/f; cat $J/f $M/f`, "one\ntwo\none\ntwo\n"},
		{"a redirection over a file", `echo longer > $M/f; echo x > $M/f; cat $J/f`, "x\n"},
		{"an appending redirection", `echo a > $M/f; echo b >> $M/f; cat $J/f`, "a\nb\n"},
		{"an empty file", `: > $M/empty; stat -c %s $M/empty $J/empty`, "0\n0\n"},
		{"mv in a directory", `echo x > $M/a; mv $M/a $M/b 2> /dev/null; ls $J/b; test ! -e $J/a`, "$J/b\n"},
		{"mv to a directory", `echo x > $M/a; mkdir $M/d; mv $M/a $M/d 2> /dev/null; ls $J/d; rm -r $M/d`, "a\n"},
		{"mv into the mount", `echo x > $J/../outside; mv $J/../outside $M 2> /dev/null; cat $J/outside`, "x\n"},
		{"dd in the middle", `echo abcdef > $M/f; printf XY | dd of=$M/f bs=1 seek=2 conv=notrunc status=none; cat $J/f`, "abXYef\n"},
		{"truncate", `echo abcdef > $M/f; truncate -s 3 $M/f; cat $J/f; truncate -s 0 $M/f; stat -c %s $J/f`, "abc0\n"},
		{"touch of a new file", `touch $M/touched; test -f $J/touched; touch $M/touched`, ""},
		{"touch of an old file", `echo x > $J/old; touch -d @1000000000 $J/old; touch $M/old; cat $J/old; test $(stat -c %Y $J/old) -gt 1000000000`, "x\n"},
		{"the inode number after a change", `echo x > $M/f; stat -c %i $M/f > $J/../inode; touch $M/f; stat -c %i $M/f | cmp - $J/../inode`, ""},
		{"rmdir", `mkdir $M/d; : > $M/d/f; rmdir $M/d 2>&1 || true; rm $M/d/f; rmdir $M/d; test ! -e $J/d`, "rmdir: failed to remove '$M/d': Directory not empty\n"},
		{"sync", `echo x > $M/f; sync $M/f $M; cat $J/f`, "x\n"},
		{"rm of a file that is open", `: > $M/f; exec 3<> $M/f; rm $M/f; test ! -e $J/f; test ! -e $M/f; echo more >&3; exec 3>&-; test ! -e $J/f`, ""},
		{"many files", `mkdir $M/many; cd $M/many; seq 400 | split -l 1 -a 4 - n; ls $M/many | wc -l; ls $J/many | wc -l; cd /; rm -r $M/many; test ! -e $J/many`, "400\n400\n"},
	}
	bothProtocols(t, mountRole{}, func(t *testing.T, m *mounted) { m.runPrograms(t, cases) })
}

func TestProgramsOnWholeFiles(t *testing.T) {
	newMount(t, mountRole{Protocol: 1}).runPrograms(t, []programCase{
		{"a time that the protocol does not carry", `echo x > $M/f; touch -d @1000000000 $M/f 2>&1 || true`, "touch: setting times of '$M/f': Operation not supported\n"},
		{"chmod", `echo x > $M/f; chmod $(stat -c %a $M/f) $M/f; chmod 700 $M/f 2>&1 || true`, "chmod: changing permissions of '$M/f': Operation not supported\n"},
		{"links", `: > $M/f; ln $M/f $M/g 2>&1 || true; ln -s f $M/g 2>&1 || true`, "ln: failed to create hard link '$M/g' => '$M/f': Operation not permitted\nln: failed to create symbolic link '$M/g': Operation not permitted\n"},
		{"df", `test $(df --output=size -B1T $M | tail -n 1) = 1024`, ""},
	})
}

func TestProgramsOnRanges(t *testing.T) {
	newMount(t, mountRole{}).runPrograms(t, []programCase{
		{"a name that only some systems take", `echo x > "$M/a:b?"; cat "$J/a:b?"; rm "$M/a:b?"; test ! -e "$J/a:b?"`, "x\n"},
		{"times", `echo x > $M/f; touch -d @1000000000 $M/f; stat -c %Y $M/f $J/f`, "1000000000\n1000000000\n"},
		{"chmod", `echo x > $M/f; chmod 741 $M/f; stat -c %a $M/f $J/f`, "741\n741\n"},
		{"set-uid is refused", `: > $M/s; chmod 4755 $M/s 2>&1 || true; stat -c %a $J/s | tail -c 4`, "chmod: changing permissions of '$M/s': Operation not permitted\n644\n"},
		{"links", `echo x > $M/f; ln $M/f $M/g; ln -s f $M/h; stat -c %h $M/f $J/g; readlink $J/h; cat $M/h; rm $M/f; cat $M/g; cat $M/h 2>&1 || true; rm $M/g $M/h`, "2\n2\nf\nx\nx\ncat: $M/h: No such file or directory\n"},
		{"df", `test $(df --output=size -B1 $M | tail -n 1) = $(df --output=size -B1 $J | tail -n 1)`, ""},
		{"mv keeps the inode", `echo x > $M/a; stat -c %i $M/a > $J/../inode; mv $M/a $M/b; stat -c %i $M/b | cmp - $J/../inode; rm $M/b`, ""},
		{"mv of a directory", `mkdir -p $M/d/e; echo x > $M/d/e/f; mv $M/d $M/n; cat $M/n/e/f $J/n/e/f; test ! -e $J/d; rm -r $M/n`, "x\nx\n"},
		{"mv over a file", `echo old > $M/a; echo new > $M/b; mv $M/b $M/a; cat $M/a $J/a; test ! -e $J/b`, "new\nnew\n"},
		{"sed -i", `printf 'one\ntwo\n' > $M/f; sed -i s/one/1/ $M/f; cat $M/f $J/f; ls $J | grep -c '^sed' || true`, "1\ntwo\n1\ntwo\n0\n"},
		{"cp -p", `echo x > $J/../source; touch -d @1000000000 $J/../source; chmod 640 $J/../source; cp -p $J/../source $M/f; stat -c '%Y %a' $J/f`, "1000000000 640\n"},
		{"tar in and out", `mkdir -p $J/../t/d; echo x > $J/../t/d/f; ln -s f $J/../t/d/l; tar -C $J/.. -cf - t | tar -C $M -xf -; tar -C $M -cf - t | tar -C $J/.. -df -; rm -r $M/t`, ""},
		{"a hole", `truncate -s 10M $M/f; printf x | dd of=$M/f bs=1 seek=5M conv=notrunc status=none; test $(du -k $J/f | cut -f1) -lt 100; cp --sparse=always $M/f $M/g; cmp $M/f $J/g`, ""},
		{"exec", `printf '#!/bin/sh\necho ran\n' > $M/x; chmod 755 $M/x; $M/x`, "ran\n"},
		{"an open file that is renamed", `: > $M/f; exec 3>> $M/f; mv $M/f $M/g; echo x >&3; exec 3>&-; cat $J/g`, "x\n"},
	})
}

func TestLargeFile(t *testing.T) {
	m := newMount(t, mountRole{})
	m.shell(`
		head -c 40000000 /dev/urandom > $J/large
		cmp $J/large $M/large
		cp $M/large $M/copy
		cmp $J/large $J/copy
		tail -c +1000 $M/large | cmp - $M/copy && exit 1
		dd if=$M/large of=$M/direct bs=1M iflag=direct oflag=direct status=none
		cmp $J/large $J/direct
	`)
}

func TestMappings(t *testing.T) {
	m := newMount(t, mountRole{})
	m.put("f", strings.Repeat("a", 10_000))
	f, err := os.OpenFile(m.in("f"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	mapped, err := unix.Mmap(int(f.Fd()), 0, 10_000, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	copy(mapped[5000:], "written through the mapping")
	if !bytes.HasPrefix(mapped, []byte("aaaa")) {
		t.Errorf("the mapping begins with %q", mapped[:4])
	}
	if err := unix.Munmap(mapped); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the server has what was written after the close", func() bool {
		content, err := os.ReadFile(m.at("f"))
		return err == nil && bytes.Contains(content, []byte("awritten through the mappinga")) && len(content) == 10_000
	})
}

// Where the kernel cached a size, it would append in the middle.
func TestAppendAfterAnotherClientMadeTheFileLonger(t *testing.T) {
	m := newMount(t, mountRole{CacheTime: time.Hour})
	m.put("log", "one\n")
	want(t, m.in("log"), "one\n")
	m.put("log", "one\ntwo\n")
	f, err := os.OpenFile(m.in("log"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"three\n", "four\n"} {
		if _, err := io.WriteString(f, line); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	want(t, m.at("log"), "one\ntwo\nthree\nfour\n")
	want(t, m.in("log"), "one\ntwo\nthree\nfour\n")
}

func TestOpenSeesWhatAnotherClientClosed(t *testing.T) {
	m := newMount(t, mountRole{CacheTime: time.Hour})
	m.put("f", "old")
	want(t, m.in("f"), "old")
	held, err := os.Open(m.in("f"))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	for i, content := range []string{"newer and longer", "new", "wen"} {
		m.put("f", content)
		want(t, m.in("f"), content)
		m.put(fmt.Sprint("new file ", i), content) // no listing has it
		want(t, m.in(fmt.Sprint("new file ", i)), content)
	}
}

func TestChangesOfOthersAreSeenAfterTheCacheTime(t *testing.T) {
	m := newMount(t, mountRole{CacheTime: time.Millisecond})
	m.put("f", "old")
	want(t, m.in("f"), "old")
	if err := os.Remove(m.at("f")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(m.at("f"), 0o755); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the file is a directory", func() bool {
		info, err := os.Stat(m.in("f"))
		return err == nil && info.IsDir()
	})
}

// A file's time is the server's as soon as it is closed: an editor that compares
// it before it saves again must not find a change.
func TestTimeAfterCloseIsTheServers(t *testing.T) {
	m := newMount(t, mountRole{CacheTime: time.Hour})
	for range 3 {
		if err := os.WriteFile(m.in("f"), []byte("text"), 0o666); err != nil {
			t.Fatal(err)
		}
		here, err1 := os.Stat(m.in("f"))
		there, err2 := os.Stat(m.at("f"))
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		// The protocol keeps about a quarter of a microsecond.
		if d := here.ModTime().Sub(there.ModTime()).Abs(); d > time.Microsecond {
			t.Errorf("the times differ by %v", d)
		}
	}
}

// TestNumbersOfFilesStay where files are known by their names: Remofile 1 has no other identity.
func TestNumbersOfFilesStay(t *testing.T) {
	m := newMount(t, mountRole{Protocol: 1, CacheTime: time.Millisecond})
	m.put("f", "text")
	number := func() uint64 {
		info, err := os.Stat(m.in("f"))
		if err != nil {
			t.Fatal(err)
		}
		return info.Sys().(*syscall.Stat_t).Ino
	}
	held, err := os.Open(m.in("f"))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	first := number()
	m.put("f", "other text")
	if now := number(); now != first {
		t.Errorf("the inode number was %d and is %d", first, now)
	}
}

func TestProgramsSideBySide(t *testing.T) {
	m := newMount(t, mountRole{})
	var workers sync.WaitGroup
	for w := range 6 {
		workers.Go(func() {
			for i := range 15 {
				content := strings.Repeat(fmt.Sprint(w, i, " "), 1000)
				own, shared := m.in(fmt.Sprintf("own %d %d", w, i)), m.in(fmt.Sprintf("shared %d", i%3))
				if err := os.WriteFile(own, []byte(content), 0o666); err != nil {
					t.Error(err)
				}
				want(t, own, content)
				if err := os.WriteFile(shared, []byte(content), 0o666); err != nil {
					t.Error(err)
				}
				if _, err := os.ReadFile(shared); err != nil {
					t.Error(err)
				}
				if _, err := os.ReadDir(m.path); err != nil {
					t.Error(err)
				}
				if i%2 == 0 {
					if err := os.Remove(own); err != nil {
						t.Error(err)
					}
					wantNone(t, own)
				}
			}
		})
	}
	workers.Wait()
	entries, err := os.ReadDir(m.jail)
	if want := 6*7 + 3; err != nil || len(entries) < want {
		t.Errorf("%d entries in the jail, error %v, want at least %d", len(entries), err, want)
	}
}

func TestLocksHoldBetweenProcesses(t *testing.T) {
	m := newMount(t, mountRole{})
	f, err := os.Create(m.in("lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if err := exec.Command("flock", "--nonblock", m.in("lock"), "true").Run(); err == nil {
		t.Error("a second process has the lock as well")
	}
}

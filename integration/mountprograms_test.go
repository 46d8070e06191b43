package integration

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// What people do with a file system, done in a mount by the real programs.

// script runs a script of the shell with the mount as $M, the jail as $J and an empty directory outside,
// where it begins, as $T, and returns its output. The programs it takes are to be there.
func (m *mounted) script(t *testing.T, script string, programs ...string) string {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			lacking(t, err.Error())
		}
	}
	cmd := exec.Command("sh", "-euc", script)
	cmd.Dir = t.TempDir() // fio leaves files there
	cmd.Env = append(os.Environ(), "M="+m.mountpoint, "J="+m.jail, "T="+cmd.Dir, "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, script, out)
	}
	return string(out)
}

func TestGitInTheMount(t *testing.T) {
	m := serveAndMount(t)
	files := 100
	if fullSize() {
		files = 2000
	}
	got := m.script(t, fmt.Sprintf(`
		export HOME=$T GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a
		git init -q $M/repo
		cd $M/repo
		mkdir a b
		for i in $(seq %d); do echo $i > a/$i; done
		git add .
		git commit -qm first
		for i in $(seq 50); do echo more >> a/$i; git mv a/$i b/; done
		git commit -qam second
		git status --porcelain
		git gc -q --prune=now
		git fsck --strict --no-progress
		git clone -q $M/repo $M/linked
		git clone -q --no-hardlinks $M/repo $M/copied
		git clone -q $M/repo $T/out
		for r in $M/linked $M/copied $T/out $J/repo; do
			git -c safe.directory='*' -C $r fsck --strict --no-progress
			git -c safe.directory='*' -C $r diff --exit-code
		done
		cd $M/linked
		git checkout -q -b other
		git rm -qr a
		git commit -qm third
		git checkout -q -
		git merge -q other
		git status --porcelain
		find . -name '*.lock'
	`, files), "git")
	if got != "" {
		t.Errorf("git says:\n%s", got)
	}
}

// TestDatabaseSurvivesAKilledMount has sqlite commit rows until the mount's process is killed: those of
// which it told are there, and the database is whole.
func TestDatabaseSurvivesAKilledMount(t *testing.T) {
	for _, mode := range []string{"delete", "wal"} {
		t.Run(mode, func(t *testing.T) {
			m := serveAndMount(t)
			m.script(t, `sqlite3 $M/db "pragma journal_mode=`+mode+`; create table t (i integer, filler text);" > /dev/null`, "sqlite3")
			cmd := exec.Command("sqlite3", "-bail", filepath.Join(m.mountpoint, "db"))
			stdin, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			committed := 0
			told := bufio.NewScanner(stdout)
			for i := range 60 {
				fmt.Fprintf(stdin, "pragma synchronous=full; begin; insert into t values (%d, hex(randomblob(3000))); commit; select %d;\n", i, i)
				if i == 50 {
					m.end(os.Kill) // while the next are under way
				}
				if i < 50 && told.Scan() {
					committed++
				}
			}
			stdin.Close()
			for told.Scan() {
				committed++
			}
			cmd.Wait() // it fails when the mount is gone
			syscall.Unmount(m.mountpoint, syscall.MNT_DETACH)
			got := m.script(t, `sqlite3 $J/db "pragma integrity_check; select count(*) from t;"`)
			rows, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(got, "ok\n")))
			if err != nil || rows < committed || committed < 50 {
				t.Errorf("%d rows were committed, the database says %q", committed, got)
			}
		})
	}
}

func TestRsyncTransfersNothingTheSecondTime(t *testing.T) {
	m := serveAndMount(t)
	source := filepath.Join(t.TempDir(), "source")
	makeTree(t, source, 100, 1<<20)
	run(t, "ln", "-s", "dir 1", filepath.Join(source, "link"))
	run(t, "chmod", "640", filepath.Join(source, "dir 1", "deeper", "file é 1"))
	for _, to := range []string{m.mountpoint, t.TempDir()} {
		from := source
		if to != m.mountpoint {
			from = filepath.Join(m.mountpoint, "source")
		}
		run(t, "rsync", "-a", from, to)
		run(t, "rsync", "-ai", "--delete", from, to) // it would print what it transfers
		run(t, "rsync", "-aic", "--delete", from, to)
		run(t, "diff", "-r", source, filepath.Join(to, "source"))
	}
}

func TestTarInAndOut(t *testing.T) {
	m := serveAndMount(t)
	got := m.script(t, `
		mkdir -p $T/tree/a/b $T/back
		head -c 300000 /dev/urandom > $T/tree/a/large
		for i in $(seq 100); do echo $i > $T/tree/a/b/$i; done
		ln $T/tree/a/large $T/tree/again
		ln -s a/large $T/tree/link
		chmod 751 $T/tree/a/b/7
		touch -d @1000000000.123456789 $T/tree/a/b/8 $T/tree/a
		tar -C $T -cf $T/tar tree
		tar -C $M -xpf $T/tar
		tar -C $M -df $T/tar
		test $(stat -c %h $M/tree/again) = 2
		tar -C $M -cf - tree | tar -C $T/back -xpf -
		tar -C $T/back -df $T/tar
		test $(stat -c %h $T/back/tree/again) = 2
		rm -r $M/tree
		ls -A $M
	`, "tar")
	if got != "" {
		t.Errorf("tar says:\n%s", got)
	}
}

// TestGoBuildsInTheMount with the module, the cache and the result there. The second time all is in the
// cache. At full size it builds a program, and so what all programs need.
func TestGoBuildsInTheMount(t *testing.T) {
	m := serveAndMount(t)
	main := "package a"
	if fullSize() {
		main = "package main"
	}
	got := m.script(t, `
		export GOCACHE=$M/cache GOFLAGS=-mod=mod GOTOOLCHAIN=local GOTMPDIR=$M/tmp
		mkdir -p $M/module/part $M/tmp
		cd $M/module
		printf 'module example.org/m\n\ngo 1.24\n' > go.mod
		printf 'package part\n\nconst Text = "built"\n' > part/part.go
		printf '`+main+`\n\nimport "example.org/m/part"\n\nfunc main() { println(part.Text) }\n' > a.go
		go build -o $M/program .
		go build -v -o $M/program .
		sed -i s/built/rebuilt/ part/part.go
		go build -v -o $M/program .
		grep -q rebuilt $M/program
	`, "go", "sed")
	const want = "example.org/m/part\nexample.org/m\n"
	if got != want {
		t.Errorf("it prints:\n%s\nwant:\n%s", got, want)
	}
}

func TestEditorsSaveInTheMount(t *testing.T) {
	m := serveAndMount(t)
	got := m.script(t, `
		cd $M
		printf 'one\ntwo\n' > f
		chmod 640 f
		sed -i s/one/1/ f
		cat f $J/f
		for copy in yes no auto; do
			vim.tiny -es -u NONE -c "set writebackup backupcopy=$copy swapfile fsync" -c '%s/$/!/' -c wq f
			cat $J/f
		done
		stat -c %a f $J/f
		ls -A
	`, "sed", "vim.tiny")
	const want = "1\ntwo\n1\ntwo\n1!\ntwo!\n1!!\ntwo!!\n1!!!\ntwo!!!\n640\n640\nf\n"
	if got != want {
		t.Errorf("it prints:\n%s\nwant:\n%s", got, want)
	}
}

// TestFioVerifies what it wrote at random, by calls and by mappings, several jobs side by side.
func TestFioVerifies(t *testing.T) {
	m := serveAndMount(t)
	size := "8M"
	if fullSize() {
		size = "256M"
	}
	for engine, sizes := range map[string]string{"psync": "512-64k --bs_unaligned=1", "mmap": "4k-64k"} {
		got := m.script(t, fmt.Sprintf(`
			fio --name=%[1]s --directory=$M --ioengine=%[1]s --rw=randrw --bs=%[2]s --size=%[3]s \
				--numjobs=3 --fsync=100 --verify=crc32c --do_verify=1 --verify_fatal=1 --verify_state_save=0 --output-format=terse --terse-version=5
			rm $M/%[1]s*
		`, engine, sizes, size), "fio")
		if !regexp.MustCompile(`(?m)^5;fio-`).MatchString(got) || strings.Contains(got, "verify:") {
			t.Errorf("fio says:\n%s", got)
		}
	}
}

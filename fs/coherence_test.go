package fs_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/remofile/remofile/remote"
)

// TestReadsAreNotBehindWrites of the same mount, although one handle reads ahead what another one changes,
// and the kernel has dropped its pages.
func TestReadsAreNotBehindWrites(t *testing.T) {
	const block, blocks, writes = 4096, 1024, 3000
	m := newMount(t, mountRole{})
	if err := os.WriteFile(m.in("f"), make([]byte, block*blocks), 0o666); err != nil {
		t.Fatal(err)
	}
	reader, writer := open(t, m.in("f"), os.O_RDONLY), open(t, m.in("f"), os.O_WRONLY)
	var done [blocks]atomic.Uint64 // the last number that was written to each block
	written := make(chan struct{})
	go func() { // ends with its writes
		defer close(written)
		p := make([]byte, block)
		for i := range uint64(writes) {
			at := rand.IntN(blocks)
			binary.LittleEndian.PutUint64(p, i)
			if _, err := writer.WriteAt(p, int64(at*block)); err != nil {
				t.Error(err)
				return
			}
			done[at].Store(i)
		}
	}()
	p := make([]byte, block)
	for running := true; running; {
		select {
		case <-written:
			running = false
		default:
		}
		if err := unix.Fadvise(int(reader.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
			t.Fatal(err)
		}
		for i := range blocks {
			least := done[i].Load()
			if _, err := reader.ReadAt(p, int64(i*block)); err != nil {
				t.Fatal(err)
			}
			if got := binary.LittleEndian.Uint64(p); got < least {
				t.Fatalf("block %d has write %d, but %d was done before", i, got, least)
			}
		}
	}
	<-written
}

// TestNamesOfOneFileAreOpenedEach, when another client has removed one of them.
func TestNamesOfOneFileAreOpenedEach(t *testing.T) {
	m := newMount(t, mountRole{})
	for i := range 4 {
		m.shell(`rm -f $J/a $J/b; echo x > $J/a; ln $J/a $J/b; stat $M/a $M/b $M/a > /dev/null`)
		removed, stays := "a", "b"
		if i%2 == 0 {
			removed, stays = stays, removed
		}
		m.shell(fmt.Sprintf(`stat $M/%[1]s > /dev/null; rm $J/%[1]s`, removed))
		want(t, m.in(stays), "x\n")
		m.shell(fmt.Sprintf(`echo more >> $M/%[1]s; chmod 600 $M/%[1]s; truncate -s 3 $M/%[1]s; ln $M/%[1]s $M/c; rm $M/c`, stays))
		want(t, m.in(stays), "x\nm")
	}
}

// TestNamesThatAreReplacedAllTheTime can be opened, and have what they had after the open began, or newer.
func TestNamesThatAreReplacedAllTheTime(t *testing.T) {
	m := newMount(t, mountRole{})
	for _, flags := range [][]int{{os.O_RDONLY, os.O_RDWR, os.O_RDWR | os.O_CREATE}, {os.O_WRONLY | os.O_TRUNC}} {
		m.openReplaced(flags)
	}
	c := m.client()
	eventually(t, "no file is open", func() bool { return openHandles(t, c) == 0 })
}

// openReplaced has a name opened with these flags, each by an opener of its own, while it is replaced all the time.
func (m *mounted) openReplaced(flags []int) {
	m.put("f", "0")
	var newest atomic.Int64
	var opening, replacing sync.WaitGroup
	end := make(chan struct{})
	replacing.Go(func() { // ends with the opens
		for i := int64(1); ; i++ {
			select {
			case <-end:
				return
			default:
				m.put("f", fmt.Sprint(i))
				newest.Store(i)
			}
		}
	})
	for _, flags := range flags {
		opening.Go(func() {
			for range 150 {
				least := newest.Load()
				f, err := os.OpenFile(m.in("f"), flags, 0o666)
				if err != nil {
					m.t.Error(err)
					continue
				}
				var got int64
				if flags&os.O_TRUNC != 0 {
					_, err = f.WriteString("0")
				} else if _, err = fmt.Fscan(f, &got); err == nil && got < least {
					m.t.Errorf("it has %d, want %d at least", got, least)
				}
				if err = errors.Join(err, f.Close()); err != nil {
					m.t.Error(err)
				}
			}
		})
	}
	opening.Wait()
	close(end)
	replacing.Wait()
}

// openHandles returns how many files the mounts have open on the server.
func openHandles(t *testing.T, c *remote.Client) (n int) {
	t.Helper()
	s, err := c.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, session := range s.Sessions {
		n += session.Handles
	}
	return n
}

// TestLongDirectory is read with its offsets: each name is told once, whatever the program goes back to.
func TestLongDirectory(t *testing.T) {
	const files = 3000
	m := newMount(t, mountRole{})
	for i := range files {
		if err := os.WriteFile(m.at(fmt.Sprintf("%0100d", i)), nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	dir := open(t, m.path, os.O_RDONLY|unix.O_DIRECTORY)
	type position struct {
		offset int64
		name   string
	}
	read := func() (found []position) {
		p := make([]byte, 8<<10)
		for {
			n, err := unix.Getdents(int(dir.Fd()), p)
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				return found
			}
			for q := p[:n]; len(q) > 0; q = q[binary.NativeEndian.Uint16(q[16:]):] {
				name := q[19:binary.NativeEndian.Uint16(q[16:])]
				found = append(found, position{int64(binary.NativeEndian.Uint64(q[8:])), unix.ByteSliceToString(name)})
			}
		}
	}
	all := read()
	seen := make(map[string]bool)
	for _, p := range all {
		seen[p.name] = true
	}
	if len(all) != files+2 || len(seen) != files+2 {
		t.Fatalf("%d entries of %d names", len(all), len(seen))
	}
	for range 20 {
		i := rand.IntN(len(all) - 1)
		if _, err := unix.Seek(int(dir.Fd()), all[i].offset, unix.SEEK_SET); err != nil {
			t.Fatal(err)
		}
		rest := read()
		if len(rest) != len(all)-i-1 || rest[0] != all[i+1] {
			t.Fatalf("behind entry %d there are %d", i, len(rest))
		}
	}
}

// TestHandlesOfOneFileSeeOneAnother, when it is emptied by one open while it is opened by others.
func TestHandlesOfOneFileSeeOneAnother(t *testing.T) {
	m := newMount(t, mountRole{})
	for range 40 {
		m.put("f", "old")
		var opened [4]*os.File
		var opens sync.WaitGroup
		for i := range opened {
			opens.Go(func() {
				flags := os.O_RDWR
				if i == 0 {
					flags |= os.O_TRUNC
				}
				var err error
				if opened[i], err = os.OpenFile(m.in("f"), flags, 0); err != nil {
					t.Error(err)
				}
			})
		}
		opens.Wait()
		for i, f := range opened {
			if _, err := f.WriteAt([]byte{byte('a' + i)}, int64(i)); err != nil {
				t.Fatal(err)
			}
		}
		for _, f := range opened {
			got := make([]byte, 4)
			if _, err := f.ReadAt(got, 0); err != nil || string(got) != "abcd" {
				t.Fatalf("%q, error %v", got, err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
		}
		want(t, m.at("f"), "abcd")
	}
}

package fs

import (
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"
)

func TestSetattrRefusesWhatTheProtocolDoesNotCarry(t *testing.T) {
	m := newFakeMount(t, &fakeJail{files: map[string]string{"/f": "text"}})
	n, errno := m.lookup("f")
	if errno != 0 {
		t.Fatal(errno)
	}
	var now fuse.AttrOut
	if errno := n.Getattr(t.Context(), nil, &now); errno != 0 {
		t.Fatal(errno)
	}
	for _, c := range []struct {
		name string
		in   fuse.SetAttrIn
		want syscall.Errno
	}{
		{"the same mode", setattr(fuse.FATTR_MODE, func(in *fuse.SetAttrIn) { in.Mode = now.Mode }), 0},
		{"another mode", setattr(fuse.FATTR_MODE, func(in *fuse.SetAttrIn) { in.Mode = now.Mode ^ 0o100 }), syscall.EOPNOTSUPP},
		{"the same owner", setattr(fuse.FATTR_UID|fuse.FATTR_GID, func(in *fuse.SetAttrIn) { in.Owner = now.Owner }), 0},
		{"another user", setattr(fuse.FATTR_UID, func(in *fuse.SetAttrIn) { in.Uid = now.Uid + 1 }), syscall.EOPNOTSUPP},
		{"another group", setattr(fuse.FATTR_GID, func(in *fuse.SetAttrIn) { in.Gid = now.Gid + 1 }), syscall.EOPNOTSUPP},
		{"any time of access", setattr(fuse.FATTR_ATIME, func(in *fuse.SetAttrIn) { in.Atime = 1 }), 0},
		{"the same time", setattr(fuse.FATTR_MTIME, func(in *fuse.SetAttrIn) { in.Mtime, in.Mtimensec = now.Mtime, now.Mtimensec }), 0},
		{"another time", setattr(fuse.FATTR_MTIME, func(in *fuse.SetAttrIn) { in.Mtime = 1 }), syscall.EOPNOTSUPP},
	} {
		if errno := n.Setattr(t.Context(), nil, &c.in, new(fuse.AttrOut)); errno != c.want {
			t.Errorf("%s: %v, want %v", c.name, errno, c.want)
		}
	}
	if n := m.jail.called("upload", "/f"); n != 0 {
		t.Errorf("%d uploads, want none", n)
	}
}

func setattr(valid uint32, set func(*fuse.SetAttrIn)) fuse.SetAttrIn {
	var in fuse.SetAttrIn
	in.Valid = valid
	set(&in)
	return in
}

func TestUnlinkKeepsTheTimeOfAnOpenFile(t *testing.T) {
	m := newFakeMount(t, &fakeJail{files: map[string]string{"/f": "text"}})
	h := m.open("f", syscall.O_RDONLY)
	var before, after fuse.AttrOut
	if errno := h.node.Getattr(t.Context(), h, &before); errno != 0 {
		t.Fatal(errno)
	}
	if errno := m.Unlink(t.Context(), "f"); errno != 0 {
		t.Fatal(errno)
	}
	if errno := h.node.Getattr(t.Context(), h, &after); errno != 0 || after.ModTime() != before.ModTime() {
		t.Errorf("%v, modified %v, before it %v", errno, after.ModTime(), before.ModTime())
	}
}

func TestModificationNowIsAnUpload(t *testing.T) {
	touch := setattr(fuse.FATTR_MTIME|fuse.FATTR_MTIME_NOW, func(*fuse.SetAttrIn) {})
	m := newFakeMount(t, &fakeJail{files: map[string]string{"/f": "text"}})
	n, errno := m.lookup("f")
	if errno != 0 {
		t.Fatal(errno)
	}
	if errno := n.Setattr(t.Context(), nil, &touch, new(fuse.AttrOut)); errno != 0 {
		t.Errorf("a stored file: %v", errno)
	}
	if n := m.jail.called("upload", "/f"); n != 1 {
		t.Errorf("%d uploads of the stored file, want 1", n)
	}
	m.wantServer("f", "text")

	h := m.create("g", 0)
	m.write(h, "half")
	if errno := h.node.Setattr(t.Context(), nil, &touch, new(fuse.AttrOut)); errno != 0 {
		t.Errorf("a file with unsaved changes: %v", errno)
	}
	m.wantNotOnServer("g") // its flush will send it
}

func TestTruncateWithoutAHandleIsSentAtOnce(t *testing.T) {
	m := newFakeMount(t, &fakeJail{files: map[string]string{"/f": "text"}})
	n, errno := m.lookup("f")
	if errno != 0 {
		t.Fatal(errno)
	}
	for _, c := range []struct {
		size uint64
		want string
	}{{2, "te"}, {4, "te\x00\x00"}, {0, ""}} {
		in := setattr(fuse.FATTR_SIZE, func(in *fuse.SetAttrIn) { in.Size = c.size })
		if errno := n.Setattr(t.Context(), nil, &in, new(fuse.AttrOut)); errno != 0 {
			t.Errorf("size %d: %v", c.size, errno)
		}
		m.wantServer("f", c.want)
	}
	if n := m.jail.called("download", "/f"); n != 2 {
		t.Errorf("%d downloads, want 2: none to make it empty", n)
	}
}

package server

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/remofile/remofile/protocol/remofile2"
)

// keptPrefix and 32 hexadecimal digits is what a part is called that can be resumed, also
// by a server that knows nothing else of it.
const keptPrefix = "keep-"

// sweepPeriod is how often parts are looked for that nobody has resumed in time.
const sweepPeriod = time.Hour

// keptName returns the name of a part of an upload to a place. The number of a device can
// change with a restart, and each has a staging directory of its own.
func keptName(p place, part string) string {
	hash := sha256.New()
	hash.Write(binary.BigEndian.AppendUint64(nil, p.directory.inode))
	hash.Write([]byte(p.name + "\x00" + part))
	return keptPrefix + hex.EncodeToString(hash.Sum(nil)[:16])
}

func isKeptName(name string) bool {
	digits, ok := strings.CutPrefix(name, keptPrefix)
	_, err := hex.DecodeString(digits)
	return ok && len(digits) == 32 && err == nil && strings.ToLower(digits) == digits
}

// partID tells kept parts apart.
type partID struct {
	staging *staging
	name    string
}

// keptPart is what is left of an upload that can be resumed. It has one of the uses of
// its staging directory, and takes its bytes of the staging limit.
type keptPart struct {
	staging *staging
	name    string
	size    int64     // bytes
	since   time.Time // when the upload ended
}

// newKeptPart is the part that a killed server left. Clients can't set the time of its
// last change.
func newKeptPart(name string, st *unix.Stat_t) *keptPart {
	const sector = 512 // of st_blocks, whatever the file system's are
	return &keptPart{name: name, size: max(st.Size, st.Blocks*sector), since: time.Unix(st.Ctim.Unix())}
}

// adopt enters what killed servers left.
func (t *uploads) adopt(parts []*keptPart) {
	for _, p := range parts {
		t.mu.Lock()
		t.staged += p.size
		t.mu.Unlock()
		t.keep(p)
	}
	t.removeBefore(time.Now().Add(-remofile2.KeepTime))
}

// keep enters a part, whose bytes count already. One too many makes the oldest go.
func (t *uploads) keep(p *keptPart) {
	t.mu.Lock()
	t.kept[partID{p.staging, p.name}] = p
	var oldest *keptPart
	if len(t.kept) > remofile2.MaxKept {
		oldest = t.forgetOldest(anyPart)
	}
	t.mu.Unlock()
	if oldest != nil {
		t.remove(oldest)
	}
}

// forget takes a part out of the table, which belongs to the caller then with its use of
// the staging directory, and with its bytes. It is nil where there is none.
func (t *uploads) forget(id partID) *keptPart {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.kept[id]
	delete(t.kept, id)
	return p
}

func anyPart(*keptPart) bool { return true }

// keptBytes returns what the parts take that are such; mu is held.
func (t *uploads) keptBytes(such func(*keptPart) bool) (size int64) {
	for _, p := range t.kept {
		if such(p) {
			size += p.size
		}
	}
	return size
}

// forgetOldest is forget for the oldest part that is such; mu is held.
func (t *uploads) forgetOldest(such func(*keptPart) bool) (oldest *keptPart) {
	for _, p := range t.kept {
		if such(p) && (oldest == nil || p.since.Before(oldest.since)) {
			oldest = p
		}
	}
	if oldest != nil {
		delete(t.kept, partID{oldest.staging, oldest.name})
	}
	return oldest
}

// remove removes a part that is no longer in the table.
func (t *uploads) remove(p *keptPart) {
	if err := unlinkat(p.staging.fd(), p.name, 0); err != nil && !errors.Is(err, unix.ENOENT) {
		t.jail.log.Warn("part of an upload stays", "path", p.name, "err", err)
	}
	t.jail.stagings.release(p.staging)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.staged -= p.size
}

// removeBefore removes the parts of uploads that ended before a time.
func (t *uploads) removeBefore(end time.Time) {
	for {
		t.mu.Lock()
		var old *keptPart
		for id, p := range t.kept {
			if p.since.Before(end) {
				old = p
				delete(t.kept, id)
				break
			}
		}
		t.mu.Unlock()
		if old == nil {
			return
		}
		t.remove(old)
	}
}

// sweepKept removes parts that nobody has resumed in time. Shutdown and Close end it and
// wait for it.
func (s *Server) sweepKept() {
	ticker := time.NewTicker(sweepPeriod)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			s.uploads.removeBefore(now.Add(-remofile2.KeepTime))
		case <-s.closed:
			return
		}
	}
}

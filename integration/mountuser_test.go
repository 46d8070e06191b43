package integration

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// userScript mounts as the user nobody, in a mount namespace of its own where /dev/fuse is anybody's, as it is on most
// systems. Its arguments are rmf and a directory.
const userScript = `
exec 2>&1
rmf=$1; cd "$2"
as() { setpriv --reuid=nobody --regid=nogroup --clear-groups "$@"; }
mknod fuse c 10 229 && chmod 666 fuse && mount --bind fuse /dev/fuse && as test -x "$rmf" -a -w /dev/fuse || exit 77
mkdir home; chown nobody home; cd home
as "$rmf" mount --serve jail mnt > ../log 2>&1 &
mount=$!
trap 'kill $mount 2> /dev/null' EXIT
until grep -qs '^mounted' ../log; do kill -0 $mount || { cat ../log; exit 1; }; sleep 0.01; done
as sh -c 'echo text > mnt/f; cat mnt/f jail/f; stat -c "%U %a" mnt/f'
ls mnt > /dev/null 2>&1 || echo kept out
as "$rmf" mount -o allow_other --serve other mnt2
as "$rmf" umount mnt
wait $mount
echo ended $?
`

// allowsOther finds the line that lets users mount with allow_other.
var allowsOther = regexp.MustCompile(`(?m)^\s*user_allow_other\s*(#|$)`)

// TestUsersMountThroughFusermount: who is not root mounts and unmounts, others are kept out, root too, and
// allow_other fails where /etc/fuse.conf does not have it.
func TestUsersMountThroughFusermount(t *testing.T) {
	if err := fuseUsable(); err != nil {
		lacking(t, "nothing can be mounted: "+err.Error())
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user")
	}
	helper, err := exec.LookPath("fusermount3")
	if err != nil {
		lacking(t, "no fusermount3")
	}
	if info, err := os.Stat(helper); err != nil || info.Mode()&os.ModeSetuid == 0 {
		lacking(t, helper+" can't mount for others: it is not set-uid")
	}
	if conf, _ := os.ReadFile("/etc/fuse.conf"); allowsOther.Match(conf) {
		t.Skip("/etc/fuse.conf has user_allow_other")
	}
	dir := t.TempDir()
	rmf := filepath.Join(dir, "rmf")
	run(t, "cp", filepath.Join(buildRmf(t), "rmf"), rmf)
	run(t, "chmod", "755", filepath.Dir(dir), dir, rmf)
	if out, err := exec.Command("unshare", "-m", "true").CombinedOutput(); err != nil {
		lacking(t, "no mount namespace: "+string(out))
	}
	out, err := exec.Command("unshare", "-m", "--propagation", "private", "sh", "-uc", userScript, "sh", rmf, dir).Output()
	if code := (*exec.ExitError)(nil); errors.As(err, &code) && code.ExitCode() == 77 {
		lacking(t, "no device for others: "+string(out))
	}
	const want = `text
text
nobody 644
kept out
rmf: mnt2: only root can mount with allow_other, unless /etc/fuse.conf has the line user_allow_other
hint: add the line, or mount without -o allow_other
ended 0
`
	if string(out) != want || err != nil {
		t.Errorf("%v, it says\n%s\nwant\n%s", err, out, want)
	}
}

package fs

import "testing"

func TestTheTopmostMountCounts(t *testing.T) {
	const table = `22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw
30 22 0:26 / /mnt rw,nosuid,nodev,relatime shared:5 master:2 - tmpfs tmpfs rw
31 30 0:27 / /mnt/a rw,nosuid,nodev,relatime - fuse.rmf host:6768:/ rw,user_id=0
32 30 0:28 / /mnt/under rw - fuse.rmf host:6768:/ rw
33 32 0:29 / /mnt/under rw - tmpfs tmpfs rw
34 30 0:30 / /mnt/with\040space\134and\043more rw - fuse.rmf host:6768:/a\040b rw
`
	for p, want := range map[string]mounted{
		"/":                        {"254:0", "ext4"},
		"/mnt":                     {"0:26", "tmpfs"},
		"/mnt/a":                   {"0:27", "fuse.rmf"},
		"/mnt/a/b":                 {},
		"/mnt/under":               {"0:29", "tmpfs"},
		`/mnt/with space\and#more`: {"0:30", "fuse.rmf"},
	} {
		if got := topmost(table, p); got != want {
			t.Errorf("%s: %q, want %q", p, got, want)
		}
	}
}

package main

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/remofile/remofile/fs"
)

func TestMountOptions(t *testing.T) {
	number := func(n uint32) *uint32 { return &n }
	for options, want := range map[string]mountOptions{
		"": {},
		"rw,nosuid,nodev,noatime,_netdev,nofail,user=me,x-systemd.automount,comment=a": {},
		"ro":                                     {mount: fs.Options{ReadOnly: true}},
		"ro,rw":                                  {},
		"noexec,ro,exec":                         {mount: fs.Options{ReadOnly: true}},
		"allow_other,default_permissions,noexec": {mount: fs.Options{AllowOther: true, NoExec: true}},
		"uid=0,gid=1000,umask=027":               {mount: fs.Options{UID: number(0), GID: number(1000), Umask: number(0o27)}},
		"timeout=1.5,cache=10":                   {timeout: 1500 * time.Millisecond, mount: fs.Options{CacheTime: 10 * time.Second}},
		"cache=0,credentials=/etc/a=b":           {credentials: "/etc/a=b", mount: fs.Options{CacheTime: -1}},
		"cache=strict":                           {mount: fs.Options{CacheTime: -1}},
		"cache=2,cache=notices":                  {},
	} {
		o, err := parseMountOptions(strings.Split(options, ","))
		if err != nil || !reflect.DeepEqual(*o, want) {
			t.Errorf("-o %q: %+v, %v, want %+v", options, o, err, want)
		}
	}
	for _, option := range []string{"shiny", "ro=false", "allow_other=1", "uid=me", "uid=-1", "uid=4294967295", "gid=", "umask=8", "umask=1777", "timeout=0", "timeout=soon",
		"cache=-1", "cache=NaN", "cache=lazy", "cache", "cache=1e300"} {
		if _, err := parseMountOptions([]string{"ro", option}); err == nil || describe(err).status != exitUsage {
			t.Errorf("-o %s: %v", option, err)
		}
	}
}

func TestWhatMountAsksOfItsHelper(t *testing.T) {
	for args, want := range map[string]string{
		"server:/music /mnt":                            "mount --source=server:/music --hostname=server -- /music /mnt",
		"server:6769:/ /mnt -o rw":                      "mount --source=server:6769:/ --hostname=server --port=6769 --options=rw -- / /mnt",
		"[::1]:/a:/b /mnt -n -v":                        "mount --source=[::1]:/a:/b --hostname=[::1] -- /a:/b /mnt",
		"[::1]:1:/ /mnt -sn -o ro,shiny,uid=1 -t rmf.x": "mount --source=[::1]:1:/ --hostname=[::1] --port=1 --options=ro,uid=1 -- / /mnt",
	} {
		h, err := parseHelper(strings.Fields(args))
		if err != nil {
			t.Errorf("%s: %v", args, err)
		} else if got := strings.Join(h.command(), " "); got != want || h.fake {
			t.Errorf("%s: %s, want %s", args, got, want)
		}
	}
	if h, err := parseHelper([]string{"server:/", "/mnt", "-f"}); err != nil || !h.fake {
		t.Errorf("-f: %+v, %v", h, err)
	}
	for _, args := range []string{"", "server:/", "server /mnt", "server:music /mnt", ":/ /mnt", "::1:/ /mnt", "server:/ /mnt -N /proc/1/ns/mnt",
		"server:/ /mnt -o", "server:/ /mnt -o shiny", "server:/ /mnt more"} {
		if h, err := parseHelper(strings.Fields(args)); err == nil || describe(err).status != exitUsage {
			t.Errorf("%s: %+v, %v", args, h, err)
		}
	}
}

// TestMountExamplesOfTheReadme holds that mount(8), which systemd calls too, can do what they say.
func TestMountExamplesOfTheReadme(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	fstab := regexp.MustCompile(`(?m)^    (\S+) (/\S+) rmf (\S+) 0 0$`).FindSubmatch(readme)
	unit := regexp.MustCompile("(?s)`/etc/systemd/system/(\\S+)\\.mount`:\n.*\n    What=(\\S+)\n    Where=/(\\S+)\n    Type=rmf\n    Options=(\\S+)\n").FindSubmatch(readme)
	if fstab == nil || unit == nil {
		t.Fatalf("there are none: %q, %q", fstab, unit)
	}
	if name := strings.ReplaceAll(string(unit[3]), "/", "-"); name != string(unit[1]) {
		t.Errorf("the unit for /%s is %s, not %s", unit[3], name, unit[1])
	}
	for _, example := range [][]string{
		{string(fstab[1]), string(fstab[2]), "-o", string(fstab[3])},
		{string(unit[2]), "/" + string(unit[3]), "-o", string(unit[4])},
	} {
		h, err := parseHelper(example)
		if err != nil || h.port != "6768" || h.directory != "/music" || h.mountpoint != "/mnt/music" {
			t.Errorf("%q: %+v, %v", example, h, err)
		}
	}
}

func TestCredentials(t *testing.T) {
	key := strings.Repeat("a", 40)
	for content, want := range map[string]*credentials{
		"token=se=cret\n": {token: "se=cret"},
		"# of the music\n\ntoken=a\npublic_key=" + key + "\n": {token: "a", publicKey: keyText(key)},
		"plain\ntoken=a":           {token: "a", plain: true},
		"":                         nil,
		"token=":                   nil,
		"token=a\npassword=secret": nil,
		"token=a\nplain=no":        nil,
	} {
		p := filepath.Join(t.TempDir(), "credentials")
		if err := os.WriteFile(p, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		out, _, stderr := capture()
		got, err := readCredentials(p, out)
		if !reflect.DeepEqual(got, want) || (err == nil) != (want != nil) || stderr.Len() > 0 {
			t.Errorf("%q: %+v, %v, %q", content, got, err, stderr)
		}
		if err != nil && (describe(err).status != exitUsage || strings.Contains(err.Error(), "secret")) {
			t.Errorf("%q: %v", content, err)
		}
		if err := os.Chmod(p, 0o640); err != nil {
			t.Fatal(err)
		}
		readCredentials(p, out)
		if !strings.HasPrefix(stderr.String(), "warning: "+p+": others can read it") {
			t.Errorf("a file that others can read: %q", stderr)
		}
	}
}

// TestJailAndMountpointAreDistinct holds that a jail is neither hidden by its own
// mount nor shows it, by whatever path, and that a refusal makes nothing.
func TestJailAndMountpointAreDistinct(t *testing.T) {
	dir := t.TempDir()
	at := func(p string) string { return filepath.Join(dir, p) }
	if err := os.Mkdir(at("real"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real", at("link")); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		jail, mountpoint string
		distinct         bool
	}{
		{"a", "a", false},
		{"a", "a/b/c", false},
		{"a/b/c", "a", false},
		{"real", "link", false},
		{"link/x", "real", false},
		{"real", "link/x/y", false},
		{"a", "ab", true},
		{"link/x", "real/y", true},
	} {
		_, err := prepareServe(at(test.jail), at(test.mountpoint), fs.Options{})
		if (err == nil) != test.distinct {
			t.Errorf("%s and %s: %v", test.jail, test.mountpoint, err)
		}
		_, jail := os.Stat(at(test.jail))
		_, mountpoint := os.Stat(at(test.mountpoint))
		if test.distinct && (jail != nil || mountpoint != nil) {
			t.Errorf("%s and %s were not made: %v, %v", test.jail, test.mountpoint, jail, mountpoint)
		}
		if made, _ := filepath.Glob(at("a*")); !test.distinct && len(made) > 0 {
			t.Errorf("%s and %s: made %q", test.jail, test.mountpoint, made)
		}
	}
}

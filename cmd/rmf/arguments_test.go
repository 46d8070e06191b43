package main

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

func parse(t *testing.T, args ...string) (*cli, *kong.Context) {
	t.Helper()
	out, _, _ := capture()
	c := new(cli)
	parser, err := newParser(c, out)
	if err != nil {
		t.Fatal(err)
	}
	command, err := parser.Parse(args)
	if err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	return c, command
}

// hyphenKey is a key that begins as a flag does.
var hyphenKey = "-" + strings.Repeat("a", 39)

// TestAgain holds that the process in the background gets the very same command,
// and no secret on its command line.
func TestAgain(t *testing.T) {
	for _, args := range [][]string{
		{"start", "/srv/music"},
		{"start", "--address=::1", "--file-size-limit=1", "--staging-limit=2", "--min-chunk-size=3", "--max-chunk-size=4",
			"--private-key", hyphenKey, "--encrypted-only", "--read-only", "--exclusive", "--log-level=debug", "--log-format=json", "--pidfile=/run/x", "/srv/music", "0", "secret"},
		{"start", "--", "-d", "0", "secret"},
		{"mount", "/mnt"},
		{"mount", "-o", "ro,allow_other", "--hostname=host", "--port=1", "--token=secret", "--plain=false", "--public-key", hyphenKey, "-t", "5", "/music", "/mnt"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			clearEnvironment(t)
			t.Setenv("REMOFILE_PLAIN", "1")
			want, command := parse(t, args...)
			args, env := again(command)
			for _, variable := range env {
				name, value, _ := strings.Cut(variable, "=")
				t.Setenv(name, value)
			}
			dropEmptyVariables()
			got, _ := parse(t, args...)
			if !reflect.DeepEqual(got.Start, want.Start) && args[0] == "start" {
				t.Errorf("%q with %q is\n%+v, want\n%+v", args, env, got.Start, want.Start)
			}
			if !reflect.DeepEqual(got.Mount, want.Mount) && args[0] == "mount" {
				t.Errorf("%q with %q is\n%+v, want\n%+v", args, env, got.Mount, want.Mount)
			}
			if slices.ContainsFunc(args, func(arg string) bool {
				return strings.Contains(arg, "secret") || strings.Contains(arg, hyphenKey)
			}) {
				t.Errorf("%q has the token or the key", args)
			}
		})
	}
}

// TestNamesNeedNotBeUTF8 holds that an argument comes as its bytes.
func TestNamesNeedNotBeUTF8(t *testing.T) {
	const name = "\xff\xfe<"
	c, _ := parse(t, "upload", name, "/"+name)
	if want := []string{name, "/" + name}; !slices.Equal(c.Upload.Paths, want) {
		t.Errorf("the paths are %q, want %q", c.Upload.Paths, want)
	}
}

func TestFlagsOverrideTheEnvironment(t *testing.T) {
	clearEnvironment(t)
	t.Setenv("REMOFILE_HOSTNAME", "variable")
	t.Setenv("REMOFILE_TOKEN", "variable")
	t.Setenv("REMOFILE_PORT", "1")
	c, _ := parse(t, "list", "--hostname", "flag", "--port", "2")
	if got := c.List.connection; got.Hostname != "flag" || got.Port != "2" || got.Token != "variable" {
		t.Errorf("the connection is %+v", got)
	}
	c, _ = parse(t, "run", "/srv", "0", "argument")
	if c.Run.Token != "argument" {
		t.Errorf("the token is %q", c.Run.Token)
	}
	os.Unsetenv("REMOFILE_PORT")
	c, _ = parse(t, "list")
	if c.List.Port != "6768" || c.List.Timeout != 3600 {
		t.Errorf("the defaults are %+v", c.List.connection)
	}
}

// TestHelpHasAnExample holds that the help of each command that users know shows how to use it.
func TestHelpHasAnExample(t *testing.T) {
	out, _, _ := capture()
	parser, err := newParser(new(cli), out)
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range parser.Model.Leaves(true) {
		name, _, _ := strings.Cut(command.FullPath(), " (") // its aliases
		if _, example, _ := strings.Cut(command.Detail, "\n\t"); !strings.Contains(example, name) {
			t.Errorf("%s --help has no example: %q", name, command.Detail)
		}
	}
}

// Command rmf serves a directory with Remofile and works on a served one: it
// lists, creates, uploads, downloads, synchronizes and removes files, or mounts the directory
// as a local folder.
//
// This package turns flags into options, options into calls and errors into exit
// statuses, one file a command. What scripts may rely on (the exit statuses, what
// goes to which stream) stands in exit.go and output.go.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), stopSignals()...)
	// The first signal ends the command in good order, a second one at once.
	context.AfterFunc(ctx, stop)
	dropEmptyVariables()
	out := newOutput(os.Stdout, os.Stderr)
	if isHelper(os.Args[0]) {
		os.Exit(runHelper(ctx, os.Args[1:], out))
	}
	os.Exit(run(ctx, os.Args[1:], out))
}

// cli is the grammar of the command line.
type cli struct {
	Version kong.VersionFlag `help:"Print the version."`

	List     listCommand     `cmd:"" help:"List the files of a remote directory."`
	File     fileCommand     `cmd:"" help:"Create an empty remote file."`
	Folder   folderCommand   `cmd:"" aliases:"directory" help:"Create a remote directory."`
	Upload   uploadCommand   `cmd:"" help:"Upload files and directories."`
	Download downloadCommand `cmd:"" help:"Download files and directories."`
	Sync     syncCommand     `cmd:"" help:"Make a directory what another one is."`
	Remove   removeCommand   `cmd:"" help:"Remove a remote file or directory."`

	Mount  mountCommand  `cmd:"" help:"Mount a remote directory as a local folder."`
	Umount umountCommand `cmd:"" help:"Unmount a remote directory."`

	WatchMount watchMountCommand `cmd:"" hidden:""`

	Run   runCommand   `cmd:"" help:"Serve a directory in the foreground."`
	Start startCommand `cmd:"" help:"Serve a directory in the background."`
	Stop  stopCommand  `cmd:"" help:"Stop a server in the background."`

	Status statusCommand `cmd:"" help:"Show what a server is and who uses it."`

	GenerateToken generateTokenCommand `cmd:"" help:"Print a new token."`
	GenerateKeys  generateKeysCommand  `cmd:"" help:"Print a new pair of keys."`
}

// run executes one command line and returns its exit status. The end of ctx
// interrupts the command.
func run(ctx context.Context, args []string, out *output) int {
	parser, err := newParser(&cli{}, out)
	if err != nil {
		return out.report(err)
	}
	command, err := parser.Parse(args)
	if err != nil {
		return out.report(err)
	}
	command.BindTo(ctx, (*context.Context)(nil))
	command.Bind(out)
	return out.report(command.Run())
}

func newParser(c *cli, out *output) (*kong.Kong, error) {
	return kong.New(c,
		kong.Name("rmf"),
		kong.Description("Remofile: one directory of a server, for those who know its token."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Vars{"version": version()},
		kong.Writers(out.stdout, out.stderr),
		rawStrings(),
		ruleFlags())
}

// version is the module's version as the build recorded it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "rmf (unknown version)"
	}
	return "rmf " + info.Main.Version
}

// stopSignals are the signals that end a command in good order. A hang-up that
// was ignored from the start (nohup) stays ignored.
func stopSignals() []os.Signal {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	return signals
}

// holdSignals keeps further stop signals from ending the process before release
// is called: the end of a mount must not be cut short.
func holdSignals() (release func()) {
	held := make(chan os.Signal, 1)
	signal.Notify(held, stopSignals()...)
	return func() { signal.Stop(held) }
}

// dropEmptyVariables makes an empty variable of ours the same as one that isn't
// set.
func dropEmptyVariables() {
	for _, variable := range os.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		if strings.HasPrefix(name, "REMOFILE_") && value == "" {
			os.Unsetenv(name)
		}
	}
}

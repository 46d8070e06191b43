package main

import (
	"context"
	"strings"

	"github.com/remofile/remofile/remote"
)

type syncCommand struct {
	Local  syncLocalCommand  `cmd:"" help:"Bring what is new or changed in a local directory to a remote one."`
	Remote syncRemoteCommand `cmd:"" help:"Bring what is new or changed in a remote directory to a local one."`
}

type syncLocalCommand struct {
	syncFlags
	LocalDirectory  string `arg:"" name:"local" help:"Local directory, the source."`
	RemoteDirectory string `arg:"" name:"remote" help:"Remote directory, which is made where it is missing."`
	connection
}

type syncRemoteCommand struct {
	syncFlags
	RemoteDirectory string `arg:"" name:"remote" help:"Remote directory, the source."`
	LocalDirectory  string `arg:"" name:"local" help:"Local directory, which is made where it is missing."`
	connection
}

// syncFlags are the flags of a synchronisation.
type syncFlags struct {
	Delete   bool   `help:"Remove from the destination what the source does not have, but for what --exclude leaves out."`
	Checksum bool   `help:"Compare files of the same size by their content, not by their modification time."`
	Links    string `enum:"keep,follow" default:"keep" help:"keep: symbolic links stay links (the default); follow: files arrive as what they lead to."`
	Watch    bool   `help:"Go on with what changes, until Ctrl-C."`
	Quiet    bool   `short:"q" help:"Write no summary."`
	reportFlags
	filterFlags
}

// syncHelp is what the help of both commands says alike.
const syncHelp = filterHelp + `

` + jsonHelp

func (f *syncFlags) options() (o remote.SyncOptions, err error) {
	if f.Watch && f.DryRun {
		return o, usage("--watch and --dry-run can't both be given", "")
	}
	o.Filter, err = f.filter()
	o.DryRun, o.Delete, o.Checksum = f.DryRun, f.Delete, f.Checksum
	o.Recursive, o.Conflict = true, remote.ConflictReplace
	if f.Links == "keep" {
		o.Links = remote.LinksKeep
	}
	return o, err
}

// direction has the methods that synchronize one way, once and again and again.
type direction struct {
	once   func(c *remote.Client, ctx context.Context, from, to string, o remote.SyncOptions) (remote.Summary, error)
	follow func(c *remote.Client, ctx context.Context, from, to string, o remote.FollowOptions) error
}

var (
	upwards   = direction{(*remote.Client).SynchronizeUpload, (*remote.Client).FollowUpload}
	downwards = direction{(*remote.Client).SynchronizeDownload, (*remote.Client).FollowDownload}
)

// run synchronizes once, or again and again.
func (f *syncFlags) run(ctx context.Context, out *output, server *connection, way direction, from, to string) error {
	o, err := f.options()
	if err != nil {
		return err
	}
	client, err := server.dial(ctx, out)
	if err != nil {
		return err
	}
	defer client.Close()

	report := newTreeReport(out, f.reportFlags)
	o.Observe = report.observer()
	if !f.Watch {
		sum, err := way.once(client, ctx, from, to, o)
		return report.finish(sum, !f.Quiet, err)
	}
	runs := 0
	ran := func(sum remote.Summary, err error) {
		runs++
		report.finish(sum, !f.Quiet && (runs == 1 || changed(sum)), err) // it has told of err; the next run may succeed
	}
	return way.follow(client, ctx, from, to, remote.FollowOptions{SyncOptions: o, Ran: ran})
}

// changed reports whether anything was done or failed.
func changed(s remote.Summary) bool {
	return s.Files+s.Directories+s.Links+s.Attributes+s.Removed+s.Renamed+s.Failed > 0
}

func (*syncLocalCommand) Help() string {
	return `Files are compared by size and modification time; each is replaced in one step
when its new content is complete. Permission bits and times are carried. What an
interrupted run has not done, the next one does. What fails is told at the end, and
the others follow.

` + syncHelp + `

Examples:

	rmf sync local ~/music /music
	rmf sync local --delete --exclude '*.part' --exclude /cache/ . /backup
	rmf sync local --watch notes /notes
	rmf sync local -n --include '*/' --include '*.ogg' --exclude '*' music /music`
}

func (*syncRemoteCommand) Help() string {
	return `The other way round of "rmf sync local", whose help tells more. The local directory
may stand first, too, if it is not an absolute path.

` + syncHelp + `

Examples:

	rmf sync remote /music ~/music
	rmf sync remote --delete --checksum /backup restored`
}

func (c *syncLocalCommand) Run(ctx context.Context, out *output) error {
	if err := checkRemote(c.RemoteDirectory); err != nil {
		return err
	}
	if err := checkLocalDirectory(c.LocalDirectory); err != nil {
		return err
	}
	return c.run(ctx, out, &c.connection, upwards, c.LocalDirectory, c.RemoteDirectory)
}

func (c *syncRemoteCommand) Run(ctx context.Context, out *output) error {
	from, to := c.RemoteDirectory, c.LocalDirectory
	if !strings.HasPrefix(from, "/") {
		from, to = to, from // the original's order: only the local one may be relative
	}
	if err := checkRemote(from); err != nil {
		return err
	}
	return c.run(ctx, out, &c.connection, downwards, from, to)
}

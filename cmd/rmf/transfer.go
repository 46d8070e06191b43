package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/remofile/remofile/remote"
)

// transferFlags are the flags of upload and download.
type transferFlags struct {
	Recursive  bool   `short:"r" help:"Transfer directories with all that is in them."`
	Force      bool   `help:"Replace files that exist, each when its transfer is complete, and merge directories: --on-conflict replace."`
	OnConflict string `enum:",fail,skip,replace,rename,newer" default:"" placeholder:"POLICY" help:"What to do where a name is taken: fail (the default), skip, replace, rename (the new one) or newer (replace what is older)."`
	Links      string `enum:"follow,keep" default:"follow" help:"follow: files arrive as what symbolic links lead to, links to directories fail (the default); keep: they stay links."`
	reportFlags
	filterFlags
}

// transferHelp is what the help of upload and download says alike.
const transferHelp = filterHelp + ` The whole path begins with the name of a source.

` + jsonHelp

// policies are the values of --on-conflict.
var policies = map[string]remote.Conflict{
	"":        remote.ConflictFail,
	"fail":    remote.ConflictFail,
	"skip":    remote.ConflictSkip,
	"replace": remote.ConflictReplace,
	"rename":  remote.ConflictRename,
	"newer":   remote.ConflictNewer,
}

func (f *transferFlags) options() (o remote.TreeOptions, err error) {
	o.Filter, err = f.filter()
	o.Recursive, o.DryRun, o.Conflict = f.Recursive, f.DryRun, policies[f.OnConflict]
	if f.Links == "keep" {
		o.Links = remote.LinksKeep
	}
	switch {
	case !f.Force:
	case f.OnConflict != "" && f.OnConflict != "replace":
		return o, usage("--force and --on-conflict "+f.OnConflict+" can't both be given", "--force is --on-conflict replace")
	default:
		o.Conflict = remote.ConflictReplace
	}
	return o, err
}

// transfer is UploadFiles or DownloadFiles of a client.
type transfer func(ctx context.Context, sources []string, destination string, o remote.TreeOptions) (remote.Summary, error)

// run transfers and tells of it.
func (f *transferFlags) run(ctx context.Context, out *output, t transfer, sources []string, destination string, o remote.TreeOptions) error {
	report := newTreeReport(out, f.reportFlags)
	o.Observe = report.observer()
	sum, err := t(ctx, sources, destination, o)
	err = withHint(err, remote.Exists, "--force replaces it")
	return report.finish(sum, f.Progress || f.DryRun, err)
}

// split splits the arguments of a transfer: one is a source, of several the last
// is the destination.
func split(paths []string, destination string) (sources []string, to string) {
	if last := len(paths) - 1; last > 0 {
		return paths[:last], paths[last]
	}
	return paths, destination
}

// checkNames finds the names of the sources. No two may be the same: which of them
// arrives would be left to chance.
func checkNames(paths []string, nameOf func(string) (string, error)) error {
	first := make(map[string]string, len(paths)) // name to path
	for _, p := range paths {
		name, err := nameOf(p)
		if err != nil {
			return err
		}
		if name == "/" {
			return usage(p+": it has no name to arrive under", "name what is in it")
		}
		if strings.ContainsAny(p, `*?[{\`) {
			continue // it may stand for other names
		}
		if other, ok := first[name]; ok {
			return usage(fmt.Sprintf("%s and %s would both arrive as %s", other, p, name),
				"transfer them to different directories")
		}
		first[name] = p
	}
	return nil
}

// withDestinationHint is err about the last of several arguments.
func withDestinationHint(err error) error {
	p := *describe(err)
	p.hint = "DESTINATION, the last argument, is an existing directory"
	return &p
}

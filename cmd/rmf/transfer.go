package main

import "fmt"

// transferFlags are the flags of upload and download.
type transferFlags struct {
	Recursive bool `short:"r" help:"Transfer directories with all that is in them."`
	Progress  bool `short:"p" help:"Show how far it has come, also where standard error is no terminal."`
	Force     bool `help:"Replace files that exist, each when its transfer is complete, and merge directories."`
}

// source is one thing to transfer.
type source struct {
	path string // as given
	name string // under which it arrives
}

// split splits the arguments of a transfer: one is a source, of several the last
// is the destination.
func split(paths []string, destination string) (sources []string, to string) {
	if last := len(paths) - 1; last > 0 {
		return paths[:last], paths[last]
	}
	return paths, destination
}

// named finds the names of the sources. No two may be the same: which of them
// arrives would be left to chance.
func named(paths []string, nameOf func(string) (string, error)) ([]source, error) {
	sources := make([]source, 0, len(paths))
	first := make(map[string]string, len(paths)) // name to path
	for _, p := range paths {
		name, err := nameOf(p)
		if err != nil {
			return nil, err
		}
		if name == "/" {
			return nil, usage(p+": it has no name to arrive under", "name what is in it")
		}
		if other, ok := first[name]; ok {
			return nil, usage(fmt.Sprintf("%s and %s would both arrive as %s", other, p, name),
				"transfer them to different directories")
		}
		first[name] = p
		sources = append(sources, source{p, name})
	}
	return sources, nil
}

// withDestinationHint is err about the last of several arguments.
func withDestinationHint(err error) error {
	p := *describe(err)
	p.hint = "DESTINATION, the last argument, is an existing directory"
	return &p
}

// skipped is the failure for a directory without -r.
func skipped(path string) error {
	return failed(path+": skipped, it is a directory", "-r transfers directories")
}

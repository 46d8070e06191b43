package main

import (
	"os"
	"os/signal"

	"github.com/remofile/remofile/fs"
)

// watchName is the name of watchMountCommand on the command line.
const watchName = "watch-mount"

// watchMountCommand is the process beside a mount that detaches it when its process dies.
type watchMountCommand struct{}

func (*watchMountCommand) Run() error {
	// It ends with the mount, and not by a signal to all that the user runs.
	signal.Ignore(stopSignals()...)
	return fs.Watch(os.Stdin)
}

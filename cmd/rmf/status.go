package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/remofile/remofile/remote"
)

type statusCommand struct {
	JSON bool `help:"Print it as JSON."`
	connection
}

func (*statusCommand) Help() string {
	return `It tells the server's version and limits, and who has sessions with it: this command
has one, too.

Example:

	rmf status`
}

func (c *statusCommand) Run(ctx context.Context, out *output) error {
	client, err := c.dial(ctx, out)
	if err != nil {
		return err
	}
	defer client.Close()
	status, err := client.Status(ctx)
	if err != nil {
		return withHint(err, remote.Unsupported, "only servers that speak Remofile 2 tell their status")
	}
	if c.JSON {
		text, err := json.MarshalIndent(status, "", "  ")
		if err != nil {
			return err
		}
		return out.printf("%s\n", text)
	}
	return out.printf("%s", statusText(status))
}

// statusText is one line for each thing that is not its default, and for each session.
func statusText(s *remote.Status) string {
	var b strings.Builder
	line := func(name, format string, values ...any) {
		fmt.Fprintf(&b, "%-17s"+format+"\n", append([]any{name + ":"}, values...)...)
	}
	line("version", "%s", s.Version)
	line("protocol", "%d", s.Protocol)
	line("started", "%s", s.Started.Local().Format(time.DateTime))
	for _, is := range []struct {
		name string
		so   bool
	}{{"read-only", s.ReadOnly}, {"exclusive", s.Exclusive}, {"portable names", s.PortableNames}} {
		if is.so {
			line(is.name, "yes")
		}
	}
	if s.FileSizeLimit > 0 {
		line("file size limit", "%d bytes", s.FileSizeLimit)
	}
	line("session limits", "%d requests of %d bytes, %d open files, %d watches, %v without a connection", s.Requests, s.Payload, s.Handles, s.Watches, s.Grace)
	line("uploads", "%d bytes", s.Staged)
	if s.Holder != "" {
		line("held by", "%s", s.Holder)
	}
	for _, p := range s.Sessions {
		line("session", "%s since %s, %d requests, %d open files, %d watches", p.Peer, p.Since.Local().Format(time.DateTime), p.Requests, p.Handles, p.Watches)
	}
	return b.String()
}

package remote

import (
	"context"
	"time"

	"github.com/remofile/remofile/protocol/remofile2"
)

// Status is what a server tells of itself and of what goes on in it.
type Status struct {
	Version       string          `json:"version"`  // of its program; "" if it doesn't tell
	Protocol      int             `json:"protocol"` // the highest that it speaks
	Started       time.Time       `json:"started"`  // when the server was
	ReadOnly      bool            `json:"read_only"`
	Exclusive     bool            `json:"exclusive"`
	PortableNames bool            `json:"portable_names"`
	FileSizeLimit int64           `json:"file_size_limit"` // bytes; 0 is none
	Requests      int             `json:"requests"`        // that a session may have under way
	Payload       int             `json:"payload"`         // the longest of a request, in bytes
	Handles       int             `json:"handles"`         // that a session may have open
	Watches       int             `json:"watches"`         // of directories that a session may have
	Grace         time.Duration   `json:"grace"`           // that a session outlives its connection; nanoseconds in JSON
	Staged        int64           `json:"staged"`          // bytes of uploads under way, as far as known
	Holder        string          `json:"holder"`          // the client of an exclusive server
	Sessions      []SessionStatus `json:"sessions"`
}

// SessionStatus is one client's session.
type SessionStatus struct {
	Peer     string    `json:"peer"` // its address
	Since    time.Time `json:"since"`
	Requests int       `json:"requests"` // under way
	Handles  int       `json:"handles"`  // open
	Watches  int       `json:"watches"`  // of directories whose changes it is told
}

// Status asks the server. It fails with Unsupported where that speaks Remofile 1 only.
func (c *Client) Status(ctx context.Context) (*Status, error) {
	s, err := c.status(ctx)
	if err != nil {
		return nil, c.failure("status", c.opts.Address, err)
	}
	return s, nil
}

func (*client1) status(context.Context) (*Status, error) { return nil, &Error{Code: Unsupported} }

func (c *client2) status(ctx context.Context) (*Status, error) {
	a, err := c.ask(ctx, &remofile2.Request{Operation: remofile2.OpStatus})
	if err != nil {
		return nil, err
	}
	i := &a.Info
	s := &Status{
		Version:       printable(i.Version),
		Protocol:      int(i.Protocol),
		Started:       timeOf(a.Status.Started),
		ReadOnly:      i.ReadOnly,
		Exclusive:     i.Exclusive,
		PortableNames: i.PortableNames,
		FileSizeLimit: int64(i.FileSizeLimit),
		Requests:      int(i.Requests),
		Payload:       int(i.Payload),
		Handles:       int(i.Handles),
		Watches:       int(i.Watches),
		Grace:         time.Duration(i.Grace) * time.Second,
		Staged:        int64(a.Status.Staged),
		Holder:        printable(a.Status.Holder),
	}
	for _, p := range a.Status.Sessions {
		s.Sessions = append(s.Sessions, SessionStatus{
			Peer: printable(p.Peer), Since: timeOf(p.Since),
			Requests: int(p.Requests), Handles: int(p.Handles), Watches: int(p.Watches),
		})
	}
	return s, nil
}

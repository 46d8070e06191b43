package remote

import (
	"context"
	"io/fs"

	"github.com/remofile/remofile/protocol/remofile2"
)

// StageOptions are the options of Stage.
type StageOptions struct {
	// Replace lets Commit replace an existing file.
	Replace bool
	// Reserve takes the name at once: it is Exists for whoever would create it, NotFound for
	// whoever looks it up. Who opens it for writing has it committed first.
	Reserve bool
	// Shared lets others stage the same name at the same time: the last commit wins.
	Shared bool
	// NoFollow replaces a symbolic link, and not the file that it leads to.
	NoFollow bool
}

// Stage opens a new file that nobody sees before Commit gives it its name, with the permission
// bits perm, less the server's umask, or those of the file that it replaces. Without Commit
// nothing is left of it when it is closed. It fails with Exists, with Busy where somebody else stages
// that name, and with Unsupported where the server speaks Remofile 1 only.
func (c *Client) Stage(ctx context.Context, p string, perm fs.FileMode, o StageOptions) (*File, error) {
	const op = "stage"
	var f *File
	c2, err := c.second()
	var cleaned string
	if err == nil {
		cleaned, err = cleanName(p)
	}
	if err == nil {
		r := remofile2.Request{Operation: remofile2.OpStage, Path: cleaned, Mode: uint16(perm.Perm()), Flags: o.flags()}
		f, err = again(ctx, c2, false, func(s *session2) (*File, error) {
			f := c2.newFile(s, cleaned)
			f.changes = true
			return f, f.open(ctx, r)
		})
	}
	if err != nil {
		return nil, c.failure(op, p, err)
	}
	return f, nil
}

func (o *StageOptions) flags() remofile2.Flags {
	flags := remofile2.StageRead
	if o.Replace {
		flags |= remofile2.StageReplace
	}
	if o.Reserve {
		flags |= remofile2.StageReserve
	}
	if o.Shared {
		flags |= remofile2.StageShared
	}
	if !o.NoFollow {
		flags |= remofile2.StageFollow
	}
	return flags
}

// CommitOptions are the options of Commit.
type CommitOptions struct {
	// Sync puts the file and its name on stable storage first.
	Sync bool
	// Keep makes Commit fail with Exists where the name has been taken since, even where Stage
	// was to replace a file. The file is still staged then.
	Keep bool
	// Changes are made before anybody sees the file; Size can't be one of them.
	Changes Changes
}

// Commit gives a staged file its name, in one step and with all that was written; it fails
// where a write has failed. Afterwards the File goes on as any other.
func (f *File) Commit(ctx context.Context, o CommitOptions) (Attr, error) {
	const op = "commit"
	changes, err := changesOf(&o.Changes)
	if err != nil {
		return Attr{}, f.failure(op, err)
	}
	r := remofile2.Request{Operation: remofile2.OpCommit, Changes: changes}
	if o.Sync {
		r.Flags |= remofile2.CommitSync
	}
	if o.Keep {
		r.Flags |= remofile2.CommitKeep
	}
	a, err := f.askBehindWrites(ctx, &r)
	if err != nil {
		return Attr{}, f.failure(op, err)
	}
	return attrOf(&a.Attr), nil
}

package remote

import (
	"context"
	"path"
	"path/filepath"
)

// UploadFiles sends local files and, if o.Recursive is set, directories into the directory destination, which must exist.
func (c *Client) UploadFiles(ctx context.Context, sources []string, destination string, o TreeOptions) (Summary, error) {
	for _, s := range sources {
		if err := c.UploadDirectory(ctx, s, path.Join(destination, filepath.Base(s)), TransferOptions{Replace: o.Conflict == ConflictReplace}); err != nil {
			return Summary{}, err
		}
	}
	return Summary{}, nil
}

// DownloadFiles fetches files and, if o.Recursive is set, directories into the local directory destination, which must exist.
func (c *Client) DownloadFiles(ctx context.Context, sources []string, destination string, o TreeOptions) (Summary, error) {
	for _, s := range sources {
		if err := c.DownloadDirectory(ctx, s, filepath.Join(destination, path.Base(s)), TransferOptions{Replace: o.Conflict == ConflictReplace}); err != nil {
			return Summary{}, err
		}
	}
	return Summary{}, nil
}

// SynchronizeUpload makes the directory p what the local directory local is.
func (c *Client) SynchronizeUpload(ctx context.Context, local, p string, o SyncOptions) (Summary, error) {
	return Summary{}, c.UploadDirectory(ctx, local, p, TransferOptions{Replace: true, Preserve: true})
}

// SynchronizeDownload makes the local directory local what the directory p is.
func (c *Client) SynchronizeDownload(ctx context.Context, p, local string, o SyncOptions) (Summary, error) {
	return Summary{}, c.DownloadDirectory(ctx, p, local, TransferOptions{Replace: true, Preserve: true})
}

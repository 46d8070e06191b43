package server

import (
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/remofile/remofile/protocol"
)

// execute fulfills a request that the state allows. It leaves the response in
// s.answer, or returns why there is none.
func (s *session1) execute(r *protocol.Request) error {
	if err := s.check(r); err != nil {
		return err
	}
	switch r.Type {
	case protocol.ListFiles:
		return s.listFiles(r)
	case protocol.ReceiveChunk:
		return s.receiveChunk()
	}
	response, err := s.fulfill(r)
	if err != nil {
		return err
	}
	s.answer.set(response)
	return nil
}

// fulfill executes a request with a short response, which counts where the error
// is nil.
func (s *session1) fulfill(r *protocol.Request) (protocol.Response, error) {
	switch r.Type {
	case protocol.CreateFile:
		return accepted(protocol.FileCreated), s.makeName(r, createFile)
	case protocol.MakeDirectory:
		return accepted(protocol.DirectoryCreated), s.makeName(r, makeDirectory)
	case protocol.RemoveFile:
		s.toDeleting()
		defer s.toIdle()
		return accepted(protocol.FileRemoved), s.server.jail.remove(r.Directory, r.Name)
	case protocol.UploadFile:
		return accepted(protocol.TransferAccepted), s.uploadFile(r)
	case protocol.SendChunk:
		return s.sendChunk(r)
	case protocol.DownloadFile:
		return s.downloadFile(r)
	case protocol.CancelTransfer:
		s.toIdle()
		return accepted(protocol.TransferCancelled), nil
	default:
		return protocol.Response{}, errBadRequest
	}
}

// makeName makes what a request names, unless that is reserved.
func (s *session1) makeName(r *protocol.Request, make func(dirfd int, name string) error) error {
	d, err := s.server.jail.open(r.Directory)
	if err != nil {
		return err
	}
	defer d.close()
	return s.server.uploads.makeName(d, r.Name, make)
}

// createFile makes an empty file.
func createFile(dirfd int, name string) error {
	f, err := openat(dirfd, name, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	return f.Close()
}

func makeDirectory(dirfd int, name string) error { return mkdirat(dirfd, name, 0o777) }

// check refuses what needs no look at the jail. Section 4.4 of the specification
// has the rule for names; NUL is answered as the original does.
func (s *session1) check(r *protocol.Request) error {
	var named, changes bool
	switch r.Type {
	case protocol.CreateFile, protocol.MakeDirectory, protocol.UploadFile, protocol.RemoveFile:
		named, changes = true, true
	case protocol.DownloadFile:
		named = true
	}
	switch {
	case changes && s.server.options.ReadOnly:
		return errReadOnly
	case strings.IndexByte(r.Name, 0) >= 0 || strings.IndexByte(r.Directory, 0) >= 0:
		return failure("embedded null byte")
	case named && !protocol.ValidName(r.Name):
		return refusal(protocol.InvalidFileName)
	}
	return nil
}

func (s *session1) listFiles(r *protocol.Request) error {
	var err error
	s.answer.buf, err = s.server.jail.appendListing(s.answer.buf[:0], r.Directory, protocol.MaxListing, s.admitListing)
	s.answer.reason = protocol.FilesListed
	return err
}

// Listings of more than longListing bytes take a place of maxLongListings, so that
// the sessions of a server can't fill its memory together. One that finds none waits
// for listingTime.
const (
	longListing     = protocol.LongListing
	maxLongListings = protocol.MaxLongListings
	listingTime     = protocol.ListingTimeout
)

// admitListing reports whether the listing under way, which has size bytes so far,
// may go on.
func (s *session1) admitListing(size int) error {
	if err := s.life.Err(); err != nil || size <= longListing || s.longListing {
		return err
	}
	patience := time.NewTimer(listingTime)
	defer patience.Stop()
	select {
	case s.server.longListings <- struct{}{}:
		s.longListing = true
		return nil
	case <-s.life.Done():
		return s.life.Err()
	case <-patience.C:
		return failure("too many long listings are under way")
	}
}

// freeListing gives the place of a long listing back, and its memory.
func (s *session1) freeListing() {
	if s.longListing {
		s.answer.shrink(longListing)
		s.longListing = false
		<-s.server.longListings
	}
}

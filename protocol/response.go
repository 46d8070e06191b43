package protocol

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/remofile/remofile/protocol/internal/pickle"
)

// Response is one response of Remofile 1. Which fields count depends on Reason:
//
//	FilesListed                   Entries
//	TransferAccepted              Size, in the answer to DownloadFile
//	ChunkSent, TransferCompleted  Data, in the answer to ReceiveChunk
//	UnknownError                  Message
type Response struct {
	Type    ResponseType
	Reason  Reason
	Entries []Entry
	Size    int64 // bytes of the whole file; 0 is not sent
	Data    []byte
	Message string
}

// Entry is one file of a listing.
type Entry struct {
	Name      string
	Directory bool
	Size      int64     // bytes; 0 for a directory
	Modified  time.Time // the wire keeps about a quarter of a microsecond
}

// AppendResponse appends the encoding of r to dst.
func AppendResponse(dst []byte, r *Response) []byte {
	if r.Reason == FilesListed {
		dst = BeginListing(dst)
		for i := range r.Entries {
			dst = AppendEntry(dst, &r.Entries[i])
		}
		return EndListing(dst)
	}
	dst = appendHead(dst, r.Type, r.Reason)
	n := 3
	switch {
	case r.Reason == TransferAccepted && r.Size > 0:
		dst = pickle.AppendInt(dst, r.Size)
	case r.Reason == UnknownError:
		dst = pickle.AppendString(dst, r.Message)
	case len(r.Data) > 0:
		dst = pickle.AppendBytes(dst, r.Data)
	default:
		n = 2
	}
	return pickle.AppendStop(pickle.AppendTuple(dst, n))
}

// AppendChunk appends (ACCEPTED, reason, data) with data of n bytes, which fill
// writes in place.
func AppendChunk(dst []byte, reason Reason, n int, fill func([]byte) error) ([]byte, error) {
	dst, err := appendFilled(appendHead(dst, Accepted, reason), n, fill)
	if err != nil {
		return nil, err
	}
	return pickle.AppendStop(pickle.AppendTuple(dst, 3)), nil
}

// BeginListing, AppendEntry for each entry, and EndListing write the answer to
// LIST_FILES piece by piece, so that a large directory need not be held twice.
func BeginListing(dst []byte) []byte {
	dst = appendHead(dst, Accepted, FilesListed)
	return pickle.AppendMark(pickle.AppendEmptyDict(dst))
}

// AppendEntry is described at BeginListing.
func AppendEntry(dst []byte, e *Entry) []byte {
	dst = pickle.AppendString(dst, e.Name)
	dst = pickle.AppendBool(dst, e.Directory)
	dst = pickle.AppendInt(dst, e.Size)
	dst = pickle.AppendFloat(dst, float64(e.Modified.Unix())+float64(e.Modified.Nanosecond())/1e9)
	return pickle.AppendTuple(dst, 3)
}

// EndListing is described at BeginListing.
func EndListing(dst []byte) []byte {
	return pickle.AppendStop(pickle.AppendTuple(pickle.AppendSetItems(dst), 3))
}

func appendHead(dst []byte, t ResponseType, r Reason) []byte {
	dst = pickle.AppendStart(dst)
	dst = pickle.AppendInt(dst, int64(t))
	return pickle.AppendInt(dst, int64(r))
}

// DecodeResponse decodes one response. Data aliases b. A reason of a later
// version is no error: its third element is ignored.
func DecodeResponse(b []byte) (Response, error) {
	v, err := pickle.Decode(b, pickle.Limits{Entries: MaxEntries})
	if err != nil {
		return Response{}, err
	}
	t, ok := v.(pickle.Tuple)
	if !ok || len(t) < 2 || len(t) > 3 {
		return Response{}, errors.New("not a tuple of two or three elements")
	}
	kind, ok1 := number(t[0], "Response", responseNames)
	reason, ok2 := number(t[1], "Reason", reasonNames)
	if !ok1 || !ok2 || kind < 1 || kind > len(responseNames) || reason < 1 {
		return Response{}, errors.New("unknown response type or reason")
	}
	r := Response{Type: ResponseType(kind), Reason: Reason(reason)}
	f := fields{rest: t[2:]}
	switch {
	case r.Reason == FilesListed:
		r.Entries = f.entries()
	case len(f.rest) == 0:
	case r.Reason == TransferAccepted:
		r.Size = f.integer()
		if r.Size < 0 {
			f.fail("negative size")
		}
	case r.Reason == ChunkSent, r.Reason == TransferCompleted:
		r.Data = f.bytes()
	case r.Reason == UnknownError:
		r.Message = f.text()
	default:
		f.rest = nil
	}
	if msg := f.end(); msg != "" {
		return Response{}, fmt.Errorf("%s: %s", r.Reason, msg)
	}
	return r, nil
}

// entries takes {name: (is directory, size, modification time)}.
func (f *fields) entries() []Entry {
	d := take[pickle.Dict](f, "not a dict")
	entries := make([]Entry, 0, len(d))
	for _, item := range d {
		t, ok := item.Value.(pickle.Tuple)
		if !ok {
			f.fail("an entry is not a tuple")
			return nil
		}
		ef := fields{rest: t}
		e := Entry{Name: item.Key, Directory: ef.boolean(), Size: ef.integer(), Modified: ef.seconds()}
		if msg := ef.end(); msg != "" || e.Size < 0 {
			f.fail("an entry is not (bool, size, time)")
			return nil
		}
		if !isComponent(e.Name) {
			f.fail("an entry's name is a path")
			return nil
		}
		entries = append(entries, e)
	}
	return entries
}

// seconds takes a time in seconds since 1970, a float or an int.
func (f *fields) seconds() time.Time {
	switch v := f.next().(type) {
	case int64:
		return time.Unix(v, 0)
	case float64:
		if s, frac := math.Modf(v); math.Abs(s) < 1<<53 {
			return time.Unix(int64(s), int64(frac*1e9))
		}
	}
	f.fail("not a time")
	return time.Time{}
}

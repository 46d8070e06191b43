package protocol

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// goldenExchange is one request of the Python client and the Python server's
// answer, as they were captured.
type goldenExchange struct {
	Name         string
	Request      hexBytes
	RequestRepr  string `json:"request_repr"`
	Response     hexBytes
	ResponseRepr string `json:"response_repr"`
}

type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

type goldenFile struct {
	Exchanges       []goldenExchange
	PickleProtocols []struct {
		Name, Repr string
		Hex        hexBytes
	} `json:"pickle_protocols"`
	OtherPythons []struct {
		Name string
		Hex  hexBytes
	} `json:"other_pythons"`
}

func readGolden(t testing.TB) *goldenFile {
	t.Helper()
	raw, err := os.ReadFile("testdata/python-remofile.json")
	if err != nil {
		t.Fatal(err)
	}
	g := new(goldenFile)
	if err := json.Unmarshal(raw, g); err != nil {
		t.Fatal(err)
	}
	return g
}

// pathClass is how Python shows a path; only its text is compared.
var pathClass = regexp.MustCompile(`(?:Pure)?PosixPath\(('[^']*')\)`)

// repr shows a request as the recording does, its bytes in hexadecimal, its
// directory as we read it.
func (r *Request) repr() string {
	elements := []string{fmt.Sprintf("<Request.%s: %d>", r.Type, int(r.Type))}
	if r.Name != "" {
		elements = append(elements, "'"+strings.ReplaceAll(r.Name, "\x00", `\x00`)+"'")
	}
	if r.Directory != "" {
		elements = append(elements, "'"+r.Directory+"'")
	}
	if r.Type == UploadFile {
		elements = append(elements, fmt.Sprint(r.Size))
	}
	if r.Type == UploadFile || r.Type == DownloadFile {
		elements = append(elements, fmt.Sprint(r.ChunkSize))
	}
	if len(elements) == 1 {
		return "(" + elements[0] + ",)"
	}
	return "(" + strings.Join(elements, ", ") + ")"
}

// goldenRequest turns a recorded repr into the form of Request.repr.
func goldenRequest(repr string) string {
	repr = pathClass.ReplaceAllString(repr, "$1")
	repr = strings.Replace(repr, "<Request.LIST_FILES: 1>, 'sub')", "<Request.LIST_FILES: 1>, '/sub')", 1)
	repr = strings.Replace(repr, "<Request.LIST_FILES: 1>, '')", "<Request.LIST_FILES: 1>, '/')", 1)
	repr = regexp.MustCompile(`^\((\d), `).ReplaceAllStringFunc(repr, func(s string) string {
		t := RequestType(s[1] - '0')
		return fmt.Sprintf("(<Request.%s: %d>, ", t, int(t))
	})
	return repr
}

func TestGoldenRequests(t *testing.T) {
	refused := 0
	for _, e := range readGolden(t).Exchanges {
		r, err := DecodeRequest(e.Request)
		if strings.Contains(e.ResponseRepr, "BAD_REQUEST") && err != nil {
			refused++
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", e.Name, err)
			continue
		}
		if r.Type == SendChunk {
			if len(r.Data) == 0 || !bytes.Contains(e.Request, r.Data) {
				t.Errorf("%s: a chunk of %d bytes that were not sent", e.Name, len(r.Data))
			}
			continue
		}
		if got, want := r.repr(), goldenRequest(e.RequestRepr); got != want {
			t.Errorf("%s: %s, want %s", e.Name, got, want)
		}
	}
	// A file of 'this', 'is', 'a', 'bad', 'request', a list, an int, an unknown
	// number, a str for a type, an empty tuple, a str for a chunk, None.
	if refused != 8 {
		t.Errorf("%d requests are refused for what they are, want 8", refused)
	}
}

func TestGoldenPickles(t *testing.T) {
	g := readGolden(t)
	for _, p := range g.PickleProtocols {
		if strings.Contains(p.Repr, "<Response.") {
			if _, err := DecodeResponse(p.Hex); err != nil {
				t.Errorf("%s: %v", p.Name, err)
			}
			continue
		}
		r, err := DecodeRequest(p.Hex)
		if err != nil {
			t.Errorf("%s: %v", p.Name, err)
		} else if got, want := r.repr(), goldenRequest(p.Repr); r.Type != SendChunk && got != want {
			t.Errorf("%s: %s, want %s", p.Name, got, want)
		}
	}
	for _, p := range g.OtherPythons {
		_, err := DecodeRequest(p.Hex)
		if strings.HasSuffix(p.Name, "/resp") {
			_, err = DecodeResponse(p.Hex)
		}
		if err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
	}
}

func TestGoldenResponses(t *testing.T) {
	for _, e := range readGolden(t).Exchanges {
		r, err := DecodeResponse(e.Response)
		if err != nil {
			t.Errorf("%s: %v", e.Name, err)
			continue
		}
		head := fmt.Sprintf("(<Response.%s: %d>, <Reason.%s: %d>", r.Type, int(r.Type), r.Reason, int(r.Reason))
		if !strings.HasPrefix(e.ResponseRepr, head) {
			t.Errorf("%s: %s, want %s", e.Name, head, e.ResponseRepr)
		}
		for _, entry := range r.Entries {
			kind := map[bool]string{false: "False", true: "True"}[entry.Directory]
			want := fmt.Sprintf("'%s': (%s, %d, %d.", entry.Name, kind, entry.Size, entry.Modified.Unix())
			at := strings.Index(e.ResponseRepr, "'"+entry.Name+"'")
			if cut := !strings.HasSuffix(e.ResponseRepr, ")})"); cut && (at < 0 || at+len(want) > len(e.ResponseRepr)) {
				continue // the recording keeps some 300 characters of a repr
			}
			if at < 0 || !strings.HasPrefix(e.ResponseRepr[at:], want) {
				t.Errorf("%s: %s is not in %s", e.Name, want, e.ResponseRepr)
			}
		}
		again, err := DecodeResponse(AppendResponse(nil, &r))
		if err != nil || fmt.Sprint(again) != fmt.Sprint(r) {
			t.Errorf("%s: encoded again it is %v, error %v", e.Name, again, err)
		}
	}
}

func FuzzDecodeRequest(f *testing.F) {
	for _, e := range readGolden(f).Exchanges {
		f.Add([]byte(e.Request))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := DecodeRequest(b)
		if err != nil {
			return
		}
		again, err := DecodeRequest(AppendRequest(nil, &r))
		if err != nil || fmt.Sprintf("%#v", again) != fmt.Sprintf("%#v", r) {
			t.Fatalf("%#v is %#v after encoding, error %v", r, again, err)
		}
	})
}

func FuzzDecodeResponse(f *testing.F) {
	for _, e := range readGolden(f).Exchanges {
		f.Add([]byte(e.Response))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := DecodeResponse(b)
		for _, e := range r.Entries {
			if err == nil && !isComponent(e.Name) {
				t.Fatalf("entry %q leads elsewhere", e.Name)
			}
		}
	})
}

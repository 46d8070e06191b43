package fs

import (
	"bytes"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// TestAPanicIsEIO holds that no operation that the nodes have ends the process: the file system beneath
// the guard is nil here, which makes all of them panic.
func TestAPanicIsEIO(t *testing.T) {
	// What go-fuse answers itself, or asks for only where Writev does not do.
	others := []string{"String", "SetDebug", "Init", "OnUnmount", "Access", "Ioctl", "Tmpfile", "Statx", "Write",
		"GetLk", "SetLk", "SetLkw", "GetXAttr", "ListXAttr", "SetXAttr", "RemoveXAttr"}
	var log bytes.Buffer
	g := reflect.ValueOf(guarded{log: slog.New(slog.NewTextHandler(&log, nil))})
	operations := reflect.TypeFor[fuse.RawFileSystem]()
	for i := range operations.NumMethod() {
		name := operations.Method(i).Name
		if slices.Contains(others, name) {
			continue
		}
		log.Reset()
		operation := g.MethodByName(name)
		var args []reflect.Value
		for j := range operation.Type().NumIn() {
			args = append(args, reflect.Zero(operation.Type().In(j)))
		}
		results := operation.Call(args)
		if n := len(results); n > 0 && results[n-1].Interface() != fuse.EIO {
			t.Errorf("%s returns %v, want EIO", name, results[n-1])
		}
		if !strings.Contains(log.String(), "level=ERROR msg=panic op="+strings.ToLower(name)+" ") {
			t.Errorf("%s: the log has %q", name, log.String())
		}
	}
}

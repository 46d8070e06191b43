package protocol

import (
	"path"
	"strings"
)

// ValidName reports whether name can be the name of a file or a directory on
// the wire: 1 to 255 bytes, none of < > : " / \ | ? *, no NUL, and neither "."
// nor "..". Section 4.4 of the Remofile specification, with the quotation mark
// that the original implementation forbids too.
func ValidName(name string) bool {
	return name != "" && name != "." && name != ".." && len(name) <= MaxName &&
		!strings.ContainsAny(name, "<>:\"/\\|?*\x00")
}

// isComponent reports whether name can be one element of a path. A listing may
// hold names that ValidName refuses, but none that leads elsewhere.
func isComponent(name string) bool {
	return name != "" && name != "." && name != ".." && len(name) <= MaxName && !strings.ContainsAny(name, "/\x00")
}

// CleanDirectory returns the absolute form of a directory as a peer names it:
// a relative or an empty one is taken from the root (section 4.5 of the
// specification, and the original implementation), empty and "." elements are
// dropped. ".." stays: behind a symbolic link only the file system knows what it
// means.
func CleanDirectory(dir string) string {
	elements := strings.Split(dir, "/")
	kept := elements[:0]
	for _, e := range elements {
		if e != "" && e != "." {
			kept = append(kept, e)
		}
	}
	return "/" + strings.Join(kept, "/")
}

// SplitPath splits the cleaned form of an absolute path into its directory and
// the name in it. The root has the name "".
func SplitPath(p string) (dir, name string) {
	p = path.Clean(p)
	if p == "/" {
		return "/", ""
	}
	dir, name = path.Split(p)
	return path.Clean(dir), name
}

// ValidToken reports whether token can be a ZeroMQ socket identity: 1 to 255
// bytes, the first of them not zero.
func ValidToken(token string) bool {
	return len(token) >= 1 && len(token) <= MaxToken && token[0] != 0
}

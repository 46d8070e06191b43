package remofile2

import "strings"

// Limits of names and paths.
const (
	MaxName      = 255      // bytes of a name: Linux's NAME_MAX
	MaxPath      = 32 << 10 // bytes of a path
	MaxPathNames = 1024     // names of a path
	MaxTarget    = 4095     // bytes of a symbolic link's target: Linux's PATH_MAX, less its NUL
	MaxPart      = 64       // bytes of a part's name
	MaxFeature   = 64       // bytes of a feature
	MaxFeatures  = 64       // features of a request
)

// ValidPath reports whether p can be a path in a request: "/", or names that each follow
// a "/", within MaxPath and MaxPathNames.
func ValidPath(p string) bool { return checkPath(p) == CodeDone }

// ValidName reports whether s can be the name of an entry: any 1 to MaxName bytes but
// "/" and NUL, and neither "." nor "..".
func ValidName(s string) bool { return checkName(s) == CodeDone }

// checkPath returns the code for a request with this path, CodeDone for one that is fine.
func checkPath(p string) Code {
	if !strings.HasPrefix(p, "/") {
		return CodeBadRequest
	}
	if len(p) > MaxPath || strings.Count(p, "/") > MaxPathNames {
		return CodeNameTooLong
	}
	if p == "/" {
		return CodeDone
	}
	for name := range strings.SplitSeq(p[1:], "/") {
		if code := checkName(name); code != CodeDone {
			return code
		}
	}
	return CodeDone
}

// checkName is checkPath for a name.
func checkName(s string) Code {
	switch {
	case s == "", s == ".", s == "..", strings.IndexByte(s, '/') >= 0, strings.IndexByte(s, 0) >= 0:
		return CodeBadRequest
	case len(s) > MaxName:
		return CodeNameTooLong
	default:
		return CodeDone
	}
}

func checkCursor(s string) Code {
	if s == "" {
		return CodeDone
	}
	return checkName(s)
}

func checkTarget(s string) Code {
	switch {
	case s == "", strings.IndexByte(s, 0) >= 0:
		return CodeBadRequest
	case len(s) > MaxTarget:
		return CodeNameTooLong
	default:
		return CodeDone
	}
}

func checkPart(s string) Code {
	if len(s) > MaxPart {
		return CodeBadRequest
	}
	return CodeDone
}

// emptyOr is of a string that has n bytes, or none.
func emptyOr(n int) func(string) Code {
	return func(s string) Code {
		if s != "" && len(s) != n {
			return CodeBadRequest
		}
		return CodeDone
	}
}

package pickle_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/remofile/remofile/protocol/internal/pickle"
)

// enumNames are the members of the enumerations in the order of their numbers,
// from 1.
var enumNames = map[string][]string{
	"Request": {"LIST_FILES", "CREATE_FILE", "MAKE_DIRECTORY", "UPLOAD_FILE", "SEND_CHUNK",
		"DOWNLOAD_FILE", "RECEIVE_CHUNK", "CANCEL_TRANSFER", "REMOVE_FILE"},
	"Response": {"ACCEPTED", "REFUSED", "ERROR"},
	"Reason": {"FILES_LISTED", "FILE_CREATED", "DIRECTORY_CREATED", "INVALID_FILE_NAME",
		"FILE_NOT_FOUND", "FILE_ALREADY_EXISTS", "NOT_A_FILE", "NOT_A_DIRECTORY",
		"INCORRECT_FILE_SIZE", "INCORRECT_CHUNK_SIZE", "TRANSFER_ACCEPTED", "CHUNK_RECEIVED",
		"CHUNK_SENT", "TRANSFER_COMPLETED", "TRANSFER_CANCELLED", "BAD_REQUEST", "UNKNOWN_ERROR"},
}

// pyRepr writes v as Python's repr does, every path as a PosixPath.
func pyRepr(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		if v {
			return "True"
		}
		return "False"
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		s := strconv.FormatFloat(v, 'f', -1, 64)
		if !strings.Contains(s, ".") {
			s += ".0"
		}
		return s
	case string:
		return quote([]rune(v), unicode.IsPrint)
	case []byte:
		var latin1 []rune
		for _, b := range v {
			latin1 = append(latin1, rune(b))
		}
		return "b" + quote(latin1, func(r rune) bool { return r >= ' ' && r <= '~' })
	case pickle.Tuple:
		if len(v) == 1 {
			return "(" + pyRepr(v[0]) + ",)"
		}
		return "(" + reprs(v) + ")"
	case pickle.List:
		return "[" + reprs(v) + "]"
	case pickle.Dict:
		var items []string
		for _, item := range v {
			items = append(items, pyRepr(item.Key)+": "+pyRepr(item.Value))
		}
		return "{" + strings.Join(items, ", ") + "}"
	case pickle.Enum:
		number := v.Number
		if v.Name != "" {
			number = int64(slices.Index(enumNames[v.Class], v.Name)) + 1
		}
		return fmt.Sprintf("<%s.%s: %d>", v.Class, enumNames[v.Class][number-1], number)
	case pickle.Path:
		return "PosixPath(" + pyRepr(string(v)) + ")"
	}
	return fmt.Sprintf("not a value: %T", v)
}

func reprs(values []any) string {
	var all []string
	for _, v := range values {
		all = append(all, pyRepr(v))
	}
	return strings.Join(all, ", ")
}

func quote(text []rune, printable func(rune) bool) string {
	mark := '\''
	if slices.Contains(text, '\'') && !slices.Contains(text, '"') {
		mark = '"'
	}
	out := []byte{byte(mark)}
	for _, r := range text {
		switch {
		case r == mark || r == '\\':
			out = append(out, '\\', byte(r))
		case r == '\t':
			out = append(out, `\t`...)
		case r == '\n':
			out = append(out, `\n`...)
		case r == '\r':
			out = append(out, `\r`...)
		case printable(r):
			out = utf8.AppendRune(out, r)
		default:
			out = fmt.Appendf(out, `\x%02x`, r)
		}
	}
	return string(append(out, byte(mark)))
}

package pickle

import (
	"strings"
	"unicode/utf8"
)

// What the allowed globals are on the stack. None of them is a value.
type (
	// class is an enumeration of remofile.protocol.
	class string

	// function is any other global.
	function int

	// member stands for the tuple of a class and a str, the arguments of getattr.
	member struct {
		class class
		name  string
	}
)

const (
	getattr   function = iota // builtins.getattr
	newBytes                  // builtins.bytes
	encode                    // _codecs.encode
	posixPath                 // pathlib.PurePosixPath, pathlib.PosixPath
)

// spareBytes is how much longer than the input the bytes and paths that REDUCE
// makes may be, all together. The parts of one path may come from the memo, so
// that a deep path of equal names is longer than its pickle.
const spareBytes = 64 << 10

// lookUp returns the global of that name, nil if it is not an allowed one.
func lookUp(module, name string) any {
	switch module {
	case "remofile.protocol":
		switch name {
		case "Request", "Response", "Reason":
			return class(name)
		}
	case "builtins", "__builtin__":
		switch name {
		case "getattr":
			return getattr
		case "bytes":
			return newBytes
		}
	case "_codecs":
		if name == "encode" {
			return encode
		}
	case "pathlib", "pathlib._local":
		switch name {
		case "PurePosixPath", "PosixPath":
			return posixPath
		}
	}
	return nil
}

func (d *decoder) globalLines() error {
	module, err := d.line()
	if err != nil {
		return err
	}
	name, err := d.line()
	if err != nil {
		return err
	}
	return d.pushGlobal(string(module), string(name))
}

func (d *decoder) stackGlobal() error {
	values, err := d.pop(2)
	if err != nil {
		return err
	}
	module, ok1 := values[0].value.(string)
	name, ok2 := values[1].value.(string)
	if !ok1 || !ok2 {
		return d.errorf("name of a global that is not a str")
	}
	return d.pushGlobal(module, name)
}

func (d *decoder) pushGlobal(module, name string) error {
	g := lookUp(module, name)
	if g == nil {
		return d.errorf("global %.40q of module %.40q is not allowed", name, module)
	}
	return d.pushValue(g)
}

// memberOf returns the member that a tuple of these values stands for.
func memberOf(values []slot) (m member, ok bool) {
	if len(values) != 2 {
		return member{}, false
	}
	if m.class, ok = values[0].value.(class); !ok {
		return member{}, false
	}
	m.name, ok = values[1].value.(string)
	return m, ok
}

// reduce calls a global with its arguments.
func (d *decoder) reduce() error {
	values, err := d.pop(2)
	if err != nil {
		return err
	}
	callee, args := values[0].value, values[1].value
	if m, ok := args.(member); ok {
		if callee != getattr {
			return d.errorf("REDUCE with a class that is not for getattr")
		}
		return d.pushValue(Enum{Class: string(m.class), Name: m.name})
	}
	tuple, ok := args.(Tuple)
	if !ok {
		return d.errorf("REDUCE with arguments that are not a tuple")
	}
	if c, ok := callee.(class); ok {
		return d.callClass(c, tuple)
	}
	switch callee {
	case newBytes:
		return d.callBytes(tuple)
	case encode:
		return d.callEncode(tuple)
	case posixPath:
		return d.callPath(tuple)
	}
	return d.errorf("REDUCE of what can't be called so")
}

func (d *decoder) callClass(c class, args Tuple) error {
	if len(args) == 1 {
		if number, ok := args[0].(int64); ok {
			return d.pushValue(Enum{Class: string(c), Number: number})
		}
	}
	return d.errorf("%s called with other than an int", c)
}

func (d *decoder) callBytes(args Tuple) error {
	if len(args) != 0 {
		return d.errorf("bytes called with arguments")
	}
	return d.pushValue([]byte{})
}

func (d *decoder) callEncode(args Tuple) error {
	if len(args) == 2 && args[1] == "latin1" {
		if text, ok := args[0].(string); ok {
			return d.encodeLatin1(text)
		}
	}
	return d.errorf("encode called with other than a str and 'latin1'")
}

// encodeLatin1 pushes the bytes that the characters of text stand for.
func (d *decoder) encodeLatin1(text string) error {
	n := utf8.RuneCountInString(text)
	if err := d.useSpare(n); err != nil {
		return err
	}
	b := make([]byte, 0, n)
	for _, r := range text {
		if r > 0xff {
			return d.errorf("encode called with a character that is not in latin1")
		}
		b = append(b, byte(r))
	}
	return d.pushValue(b)
}

func (d *decoder) callPath(args Tuple) error {
	parts := make([]string, len(args))
	size := len(args)
	for i, arg := range args {
		part, ok := arg.(string)
		if !ok {
			return d.errorf("path part that is not a str")
		}
		parts[i] = part
		size += len(part)
	}
	if err := d.useSpare(size); err != nil {
		return err
	}
	return d.pushValue(joinPath(parts))
}

// useSpare takes n from the bytes that REDUCE may make. The arguments may come
// from the memo, so the opcodes alone do not bound them.
func (d *decoder) useSpare(n int) error {
	if n > d.spare {
		return d.errorf("more bytes made from the memo than the input explains")
	}
	d.spare -= n
	return nil
}

// joinPath joins parts as Path describes.
func joinPath(parts []string) Path {
	var p []byte
	for i := len(parts) - 1; i >= 0; i-- {
		if strings.HasPrefix(parts[i], "/") {
			p = append(p, '/')
			parts = parts[i:]
			break
		}
	}
	for _, part := range parts {
		for name := range strings.SplitSeq(part, "/") {
			if name == "" || name == "." {
				continue
			}
			if len(p) > 0 && p[len(p)-1] != '/' {
				p = append(p, '/')
			}
			p = append(p, name...)
		}
	}
	if len(p) == 0 {
		return "."
	}
	return Path(p)
}

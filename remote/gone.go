package remote

import (
	"bytes"
	"iter"
)

// goneList is the names that a directory of the destination has and the source has not, in little memory: there
// may be millions.
type goneList struct {
	blocks [][]byte // of names, each behind a byte that tells its kind and before a NUL
	kept   map[string]bool
}

const goneBlock = 64 << 10 // bytes

func (g *goneList) add(name string, isDir bool) {
	last := len(g.blocks) - 1
	if last < 0 || len(g.blocks[last])+len(name)+2 > goneBlock {
		size := goneBlock
		if last < 0 {
			size = len(name) + 2
		}
		g.blocks = append(g.blocks, make([]byte, 0, size))
		last++
	}
	kind := byte('f')
	if isDir {
		kind = 'd'
	}
	b := append(g.blocks[last], kind)
	b = append(b, name...)
	g.blocks[last] = append(b, 0)
}

func (g *goneList) isEmpty() bool { return len(g.blocks) == 0 }

// keep leaves a name out of all: its file is not there any longer.
func (g *goneList) keep(name string) {
	if g.kept == nil {
		g.kept = make(map[string]bool)
	}
	g.kept[name] = true
}

// all returns the names that are to be removed, and whether they are directories'.
func (g *goneList) all() iter.Seq2[string, bool] {
	return func(yield func(string, bool) bool) {
		for _, b := range g.blocks {
			for len(b) > 0 {
				end := bytes.IndexByte(b, 0)
				name, isDir := string(b[1:end]), b[0] == 'd'
				b = b[end+1:]
				if !g.kept[name] && !yield(name, isDir) {
					return
				}
			}
		}
	}
}

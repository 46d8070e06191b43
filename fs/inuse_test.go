package fs

import (
	"testing"
	"unsafe"
)

// TestNodesAreSmall: the kernel may know millions of files. What only some nodes need belongs to inUse or directory.
func TestNodesAreSmall(t *testing.T) {
	const most = 288 // bytes: one more, and each node takes 320
	if got := unsafe.Sizeof(node{}); got > most {
		t.Errorf("a node takes %d bytes, want %d at most", got, most)
	}
}

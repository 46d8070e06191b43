package pickle

// slot is a value on the stack or in the memo. Besides the values of the
// package, it may be one that is not finished: an *openList, an *openDict, or a
// class, function or member on its way to REDUCE.
type slot struct {
	value any
	nodes int // values in it, itself included, written out as a tree
	depth int // of the containers in it; 0 for what is not a container
}

func (d *decoder) push(s slot) error {
	if err := d.checkStack(); err != nil {
		return err
	}
	d.stack = append(d.stack, s)
	return nil
}

// pushValue pushes a value that is not a container.
func (d *decoder) pushValue(v any) error {
	return d.push(slot{value: v, nodes: 1})
}

func (d *decoder) mark() error {
	if err := d.checkStack(); err != nil {
		return err
	}
	d.marks = append(d.marks, len(d.stack))
	return nil
}

func (d *decoder) checkStack() error {
	if len(d.stack)+len(d.marks) >= d.limits.Stack {
		return d.errorf("more values on the stack than the limit of %d", d.limits.Stack)
	}
	return nil
}

// marked, as the number of values to pop, means those above the last mark.
const marked = -1

// pop takes n values from the stack, all of them above the last mark, or, if n
// is marked, that mark and all values above it. The result is valid up to the
// next push.
func (d *decoder) pop(n int) ([]slot, error) {
	floor := 0
	if len(d.marks) > 0 {
		floor = d.marks[len(d.marks)-1]
	} else if n == marked {
		return nil, d.errorf("no mark on the stack")
	}
	at := floor
	if n == marked {
		d.marks = d.marks[:len(d.marks)-1]
	} else {
		at = len(d.stack) - n
	}
	if at < floor {
		return nil, d.errorf("too few values on the stack")
	}
	values := d.stack[at:]
	d.stack = d.stack[:at]
	return values, nil
}

// top returns the value on top of the stack, which stays there. The result is
// valid up to the next push.
func (d *decoder) top() (*slot, error) {
	values, err := d.pop(1)
	if err != nil {
		return nil, err
	}
	d.stack = d.stack[:len(d.stack)+1]
	return &values[0], nil
}

package pickle

import "strconv"

// memo holds values under the numbers that the stream gives them. CPython counts
// from 0; memory depends on how many numbers there are, not on how large.
type memo struct {
	dense  []slot // numbers from 0 on
	sparse map[uint64]slot
}

func (m *memo) len() int {
	return len(m.dense) + len(m.sparse)
}

func (m *memo) put(id uint64, s slot) {
	switch {
	case id < uint64(len(m.dense)):
		m.dense[id] = s
	case id == uint64(len(m.dense)):
		m.dense = append(m.dense, s)
		delete(m.sparse, id)
	default:
		if m.sparse == nil {
			m.sparse = make(map[uint64]slot)
		}
		m.sparse[id] = s
	}
}

func (m *memo) get(id uint64) (slot, bool) {
	if id < uint64(len(m.dense)) {
		return m.dense[id], true
	}
	s, ok := m.sparse[id]
	return s, ok
}

// put stores the value on top of the stack.
func (d *decoder) put(id uint64) error {
	s, err := d.top()
	if err != nil {
		return err
	}
	if d.memo.len() >= d.limits.Memo {
		return d.errorf("more values in the memo than the limit of %d", d.limits.Memo)
	}
	d.memo.put(id, *s)
	return nil
}

// get pushes a stored value. The values in a tuple are counted, so that tuples of
// tuples from the memo, which cost nothing here, stay bounded for whoever goes
// through the result. A list or dict may have grown since, or contain itself by
// now: none is taken from the memo.
func (d *decoder) get(id uint64) error {
	s, ok := d.memo.get(id)
	if !ok {
		return d.errorf("nothing in the memo under number %d", id)
	}
	switch s.value.(type) {
	case *openList, *openDict:
		return d.errorf("list or dict from the memo")
	}
	if d.shared -= s.nodes - 1; d.shared < 0 {
		return d.errorf("more values in tuples from the memo than the limit of %d", d.limits.Ops)
	}
	return d.push(s)
}

func (d *decoder) binPut(size int) error {
	id, err := d.uint(size)
	if err != nil {
		return err
	}
	return d.put(id)
}

func (d *decoder) binGet(size int) error {
	id, err := d.uint(size)
	if err != nil {
		return err
	}
	return d.get(id)
}

func (d *decoder) putLine() error {
	id, err := d.idLine()
	if err != nil {
		return err
	}
	return d.put(id)
}

func (d *decoder) getLine() error {
	id, err := d.idLine()
	if err != nil {
		return err
	}
	return d.get(id)
}

func (d *decoder) idLine() (uint64, error) {
	s, err := d.numberLine()
	if err != nil {
		return 0, err
	}
	id, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, d.errorf("not a number of the memo: %q", s)
	}
	return id, nil
}

package pickle

import "slices"

// openList is a list that may still grow. Only its slots refer to it.
type openList struct {
	items List
}

// openDict is a dict that may still grow. Only its slots refer to it.
type openDict struct {
	items Dict
	index map[string]int // position of each key in items
}

// sealed returns the finished value of v, and false for what is none.
func sealed(v any) (any, bool) {
	switch v := v.(type) {
	case *openList:
		return v.items, true
	case *openDict:
		return v.items, true
	case class, function, member:
		return nil, false
	}
	return v, true
}

// adopt counts child as part of the container parent and returns its value.
func (d *decoder) adopt(parent *slot, child slot) (any, error) {
	v, ok := sealed(child.value)
	if !ok {
		return nil, d.errorf("global that is not called")
	}
	parent.nodes += child.nodes
	parent.depth = max(parent.depth, child.depth+1)
	if parent.depth > d.limits.Depth {
		return nil, d.errorf("containers deeper than the limit of %d", d.limits.Depth)
	}
	return v, nil
}

// tuple replaces n values by the tuple of them, or by the member that a class
// and a str stand for.
func (d *decoder) tuple(n int) error {
	values, err := d.pop(n)
	if err != nil {
		return err
	}
	if m, ok := memberOf(values); ok {
		return d.pushValue(m)
	}
	t := make(Tuple, len(values))
	s := slot{nodes: 1, depth: 1}
	for i, child := range values {
		if t[i], err = d.adopt(&s, child); err != nil {
			return err
		}
	}
	s.value = t
	return d.push(s)
}

// list replaces n values by a list of them.
func (d *decoder) list(n int) error {
	values, err := d.pop(n)
	if err != nil {
		return err
	}
	s := slot{value: &openList{items: List{}}, nodes: 1, depth: 1}
	if err := d.appendTo(&s, values); err != nil {
		return err
	}
	return d.push(s)
}

// extend moves n values into the list below them.
func (d *decoder) extend(n int) error {
	values, err := d.pop(n)
	if err != nil {
		return err
	}
	s, err := d.top()
	if err != nil {
		return err
	}
	return d.appendTo(s, values)
}

func (d *decoder) appendTo(s *slot, values []slot) error {
	l, ok := s.value.(*openList)
	if !ok {
		return d.errorf("not a list")
	}
	l.items = slices.Grow(l.items, len(values))
	for _, child := range values {
		v, err := d.adopt(s, child)
		if err != nil {
			return err
		}
		l.items = append(l.items, v)
	}
	return nil
}

// dict replaces n keys and values, which alternate, by a dict of them.
func (d *decoder) dict(n int) error {
	values, err := d.pop(n)
	if err != nil {
		return err
	}
	s := slot{value: &openDict{items: Dict{}}, nodes: 1, depth: 1}
	if err := d.setIn(&s, values); err != nil {
		return err
	}
	return d.push(s)
}

// update moves n keys and values, which alternate, into the dict below them.
func (d *decoder) update(n int) error {
	values, err := d.pop(n)
	if err != nil {
		return err
	}
	s, err := d.top()
	if err != nil {
		return err
	}
	return d.setIn(s, values)
}

func (d *decoder) setIn(s *slot, values []slot) error {
	o, ok := s.value.(*openDict)
	if !ok {
		return d.errorf("not a dict")
	}
	if len(values)%2 != 0 {
		return d.errorf("key without a value")
	}
	if len(values)/2 > d.limits.Entries-len(o.items) {
		return d.errorf("more entries in a dict than the limit of %d", d.limits.Entries)
	}
	o.items = slices.Grow(o.items, len(values)/2)
	for i := 0; i < len(values); i += 2 {
		key, ok := values[i].value.(string)
		if !ok {
			return d.errorf("key that is not a str")
		}
		v, err := d.adopt(s, values[i+1])
		if err != nil {
			return err
		}
		o.set(key, v)
	}
	return nil
}

func (o *openDict) set(key string, v any) {
	if at, ok := o.index[key]; ok {
		o.items[at].Value = v
		return
	}
	if o.index == nil {
		o.index = make(map[string]int)
	}
	o.index[key] = len(o.items)
	o.items = append(o.items, Item{Key: key, Value: v})
}

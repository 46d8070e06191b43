package curve

// splitter cuts what the upper side writes into frames.
type splitter struct {
	header  [longHeader]byte
	have    int    // bytes of the header
	missing uint64 // bytes of the body
	frame   []byte // the flags of a MESSAGE and the body, as far as they were written
}

// split takes bytes of p up to the end of a frame. That is whole then, in s.frame,
// until split is called again.
func (s *splitter) split(p []byte) (rest []byte, whole bool, err error) {
	for s.have < shortHeader || s.have < headerSize(s.header[0]) {
		if len(p) == 0 {
			return nil, false, nil
		}
		s.header[s.have] = p[0]
		s.have, p = s.have+1, p[1:]
		if s.have >= shortHeader && s.have == headerSize(s.header[0]) {
			if err := s.begin(); err != nil {
				return nil, false, err
			}
		}
	}
	n := min(uint64(len(p)), s.missing)
	s.frame = append(s.frame, p[:n]...)
	s.missing -= n
	if s.missing > 0 {
		return nil, false, nil
	}
	s.have = 0
	return p[n:], true, nil
}

// begin starts a frame whose header is there.
func (s *splitter) begin() error {
	flags, size, err := parseHeader(s.header[:])
	if err != nil {
		return err
	}
	inner := flags & flagMore
	if flags&flagCommand != 0 {
		inner |= messageCommand
	}
	s.frame, s.missing = append(keep(s.frame), inner), size
	return nil
}

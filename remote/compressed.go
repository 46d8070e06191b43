package remote

import "github.com/remofile/remofile/protocol/remofile2"

// sendPayload sends a request with its payload, compressed where that pays on this link.
func (l *link2) sendPayload(header []byte, c *call) error {
	if l.codec == nil || c.trials == nil {
		return l.conn.BufferMessage(header, *c.out)
	}
	var memory *[]byte
	frame := c.trials.Compress(l.codec, l.conn.Rate(), *c.out, func(n int) []byte {
		memory = l.session.buffer(int64(n))
		return *memory
	})
	if frame == nil {
		return l.conn.BufferMessage(header, *c.out)
	}
	defer l.session.buffers.Put(memory)
	return l.conn.BufferMessage(header, frame, remofile2.AppendSize(nil, int64(len(*c.out))))
}

// decompress makes the payload of an answer what it was before the server compressed it. It
// is for whoever waits for the answer: the reader has no time.
func (s *session2) decompress(c *call) error {
	if c.size == 0 {
		return nil
	}
	var memory *[]byte
	payload, err := s.dialer.codec.Decompress(c.payload, c.size, func(n int) []byte {
		memory = s.buffer(int64(n))
		return *memory
	})
	if err != nil {
		return corrupted(err)
	}
	s.buffers.Put(c.memory)
	c.payload, c.memory, c.size = payload, memory, 0
	return nil
}

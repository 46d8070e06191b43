package server

import (
	"errors"

	"github.com/remofile/remofile/protocol/remofile2"
)

// decompress makes the payload of a request what it was before the client compressed it.
func (t *task) decompress() error {
	if t.size == 0 {
		return nil
	}
	buffers := &t.session.server.buffers
	payload, err := t.session.codec.Decompress(t.payload, t.size, buffers.get)
	buffers.put(t.memory)
	t.payload, t.memory = payload, payload
	if err != nil {
		return errors.Join(code(remofile2.CodeBadRequest), err)
	}
	return nil
}

// message returns the frames of the answer. What is read is compressed where that pays on a
// link of so many bytes a second; digests are noise.
func (t *task) message(header []byte, link float64) [][]byte {
	switch {
	case !t.Operation.AnswerPayload() || t.answer.Code != remofile2.CodeDone:
		return [][]byte{header}
	case t.Operation != remofile2.OpRead || t.session.codec == nil:
		return [][]byte{header, t.out}
	}
	buffers := &t.session.server.buffers
	frame := t.file.trials.Compress(t.session.codec, link, t.out, buffers.get)
	if frame == nil {
		return [][]byte{header, t.out}
	}
	size := remofile2.AppendSize(nil, int64(len(t.out)))
	buffers.put(t.out)
	t.out = frame
	return [][]byte{header, frame, size}
}

package server

import "github.com/remofile/remofile/protocol/remofile2"

// answers are the last answers of a session to requests that must not be executed
// twice.
type answers struct {
	byID map[uint64][]byte // headers
	ids  []uint64          // a ring, in the order of their arrival
	next int               // where the next one goes
}

func newAnswers() answers {
	return answers{byID: make(map[uint64][]byte), ids: make([]uint64, remofile2.MaxAnswers)}
}

func (a *answers) keep(id uint64, header []byte) {
	delete(a.byID, a.ids[a.next])
	a.ids[a.next] = id
	a.byID[id] = header
	a.next = (a.next + 1) % len(a.ids)
}

// remember keeps the answer to a request that must not be executed twice; s.mu is held.
func (s *session) remember(t *task, answer []byte) {
	if t.Operation.Once() {
		s.answers.keep(t.ID, answer)
	}
}

// repeated reports whether a request has come before and needs no execution; s.mu is held.
// Its answer is sent again; nil is one that is still to come, from the task under way.
func (s *session) repeated(t *task) (answer []byte, known bool) {
	if t.ID > s.lastID {
		return nil, false
	}
	if _, underWay := s.underWay[t.ID]; underWay {
		return nil, true
	}
	if header, kept := s.answers.byID[t.ID]; kept {
		return header, true
	}
	if !t.Operation.Once() {
		return nil, false
	}
	unknown := answerTo(t.ID, code(remofile2.CodeOutcomeUnknown))
	return remofile2.AppendAnswer(nil, t.Operation, &unknown), true
}

package remofile2

// operation is one row of the table of operations.
type operation struct {
	name      string
	arguments arguments
	results   results
	flags     Flags // all that it has
	payload   payload
	effect    effect
}

type (
	arguments = []field[Request]
	results   = []field[Answer]
)

// payload tells which message has one.
type payload int

const (
	noPayload payload = iota
	inRequest
	inAnswer
)

// effect tells whether a request may be executed again when its answer was lost.
type effect bool

const (
	repeatable effect = false
	once       effect = true
)

// operations is the table of operations of the package comment, by number.
var operations = [...]operation{
	OpAttach:   {"ATTACH", arguments{argSession, argSecret, argFeatures}, results{resSession, resSecret, resResumed, resInfo}, 0, noPayload, repeatable},
	OpGoodbye:  {"GOODBYE", nil, nil, 0, noPayload, repeatable},
	OpStatus:   {"STATUS", nil, results{resInfo, resStatus}, 0, noPayload, repeatable},
	OpCancel:   {"CANCEL", arguments{argCancel}, nil, 0, noPayload, repeatable},
	OpList:     {"LIST", arguments{argPath, argCursor, argMost}, results{resCursor, resEntries}, 0, noPayload, repeatable},
	OpStat:     {"STAT", arguments{argFile, argFlags}, results{resAttr}, StatFollow, noPayload, repeatable},
	OpSet:      {"SET", arguments{argFile, argFlags, argChanges}, results{resAttr}, SetFollow, noPayload, once},
	OpMkdir:    {"MKDIR", arguments{argPath, argMode}, results{resAttr}, 0, noPayload, once},
	OpRemove:   {"REMOVE", arguments{argPath, argFlags}, results{resRemoved}, RemoveDirectory | RemoveAny | RemoveRecursive | RemoveDirect, noPayload, once},
	OpRename:   {"RENAME", arguments{argFrom, argTo, argFlags}, nil, RenameKeep | RenameExchange, noPayload, once},
	OpLink:     {"LINK", arguments{argFrom, argTo}, results{resAttr}, 0, noPayload, once},
	OpSymlink:  {"SYMLINK", arguments{argPath, argTarget}, results{resAttr}, 0, noPayload, once},
	OpReadlink: {"READLINK", arguments{argPath}, results{resTarget}, 0, noPayload, repeatable},
	OpSpace:    {"SPACE", arguments{argPath}, results{resTotal, resFree, resAvailable, resFiles, resFreeFiles}, 0, noPayload, repeatable},
	OpOpen:     {"OPEN", arguments{argHandle, argPath, argFlags, argMode}, results{resAttr}, OpenRead | OpenWrite | OpenCreate | OpenExclusive | OpenTruncate | OpenFollow, noPayload, once},
	OpStage:    {"STAGE", arguments{argHandle, argPath, argFlags, argMode, argPart}, results{resAttr}, StageReplace | StageReserve | StageResume | StageRead | StageFollow | StageShared, noPayload, once},
	OpCommit:   {"COMMIT", arguments{argHandle, argFlags, argChanges}, results{resAttr}, CommitSync | CommitKeep, noPayload, once},
	OpClose:    {"CLOSE", arguments{argHandle, argFlags}, nil, CloseDiscard, noPayload, once},
	OpRead:     {"READ", arguments{argHandle, argOffset, argLength}, nil, 0, inAnswer, repeatable},
	OpWrite:    {"WRITE", arguments{argHandle, argOffset}, nil, 0, inRequest, once},
	OpAppend:   {"APPEND", arguments{argHandle}, results{resOffset}, 0, inRequest, once},
	OpSync:     {"SYNC", arguments{argFile, argFlags}, nil, SyncData, noPayload, once},
	OpSeek:     {"SEEK", arguments{argHandle, argOffset, argFlags}, results{resOffset}, SeekHole, noPayload, repeatable},
	OpAllocate: {"ALLOCATE", arguments{argHandle, argOffset, argLength, argFlags}, nil, AllocateKeepSize | AllocatePunch | AllocateZero, noPayload, once},
	OpCopy:     {"COPY", arguments{argHandle, argOffset, argToHandle, argToOffset, argLength}, results{resLength}, 0, noPayload, once},
	OpDigest:   {"DIGEST", arguments{argHandle, argOffset, argLength, argBlock}, nil, 0, inAnswer, repeatable},
	OpWatch:    {"WATCH", arguments{argPath}, nil, 0, noPayload, repeatable},
	OpUnwatch:  {"UNWATCH", arguments{argPath}, nil, 0, noPayload, repeatable},
	OpChunks:   {"CHUNKS", arguments{argHandle, argOffset, argLength, argExponent}, nil, 0, inAnswer, repeatable},
}

// event is one row of the table of notices.
type event struct {
	name      string
	arguments []field[Notice]
}

// events is the table of notices of the package comment, by number.
var events = [...]event{
	EventChanged: {"CHANGED", []field[Notice]{noticeDirectory, noticeNames}},
	EventGone:    {"GONE", []field[Notice]{noticeDirectory}},
}

// spec returns the row of o; one without a name where there is none.
func (o Operation) spec() *operation {
	if int(o) < len(operations) {
		return &operations[o]
	}
	return new(operation)
}

// spec returns the row of e; one without a name where there is none.
func (e Event) spec() *event {
	if int(e) < len(events) {
		return &events[e]
	}
	return new(event)
}

func (o Operation) String() string { return nameOr(o.spec().name, uint16(o)) }
func (e Event) String() string     { return nameOr(e.spec().name, uint16(e)) }

// RequestPayload reports whether a request for o has a payload.
func (o Operation) RequestPayload() bool { return o.spec().payload == inRequest }

// AnswerPayload reports whether the answer to o has a payload when its code is CodeDone.
func (o Operation) AnswerPayload() bool { return o.spec().payload == inAnswer }

// Once reports whether a request for o is not executed again when its answer was lost: it
// may change something.
func (o Operation) Once() bool { return o.spec().effect == once }

package remofile2

// operation is one row of the table of operations.
type operation struct {
	name      string
	arguments arguments
	results   results
	flags     Flags // all that it has
	payload   payload
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

// operations is the table of operations of the package comment, by number.
var operations = [...]operation{
	OpAttach:   {"ATTACH", arguments{argSession, argSecret, argFeatures}, results{resSession, resSecret, resResumed, resInfo}, 0, noPayload},
	OpGoodbye:  {"GOODBYE", nil, nil, 0, noPayload},
	OpStatus:   {"STATUS", nil, results{resInfo, resStatus}, 0, noPayload},
	OpCancel:   {"CANCEL", arguments{argCancel}, nil, 0, noPayload},
	OpList:     {"LIST", arguments{argPath, argCursor, argMost}, results{resCursor, resEntries}, 0, noPayload},
	OpStat:     {"STAT", arguments{argFile, argFlags}, results{resAttr}, StatFollow, noPayload},
	OpSet:      {"SET", arguments{argFile, argFlags, argChanges}, results{resAttr}, SetFollow, noPayload},
	OpMkdir:    {"MKDIR", arguments{argPath, argMode}, results{resAttr}, 0, noPayload},
	OpRemove:   {"REMOVE", arguments{argPath, argFlags}, results{resRemoved}, RemoveDirectory | RemoveAny | RemoveRecursive | RemoveDirect, noPayload},
	OpRename:   {"RENAME", arguments{argFrom, argTo, argFlags}, nil, RenameKeep | RenameExchange, noPayload},
	OpLink:     {"LINK", arguments{argFrom, argTo}, results{resAttr}, 0, noPayload},
	OpSymlink:  {"SYMLINK", arguments{argPath, argTarget}, results{resAttr}, 0, noPayload},
	OpReadlink: {"READLINK", arguments{argPath}, results{resTarget}, 0, noPayload},
	OpSpace:    {"SPACE", arguments{argPath}, results{resTotal, resFree, resAvailable, resFiles, resFreeFiles}, 0, noPayload},
	OpOpen:     {"OPEN", arguments{argHandle, argPath, argFlags, argMode}, results{resAttr}, OpenRead | OpenWrite | OpenCreate | OpenExclusive | OpenTruncate | OpenFollow, noPayload},
	OpStage:    {"STAGE", arguments{argHandle, argPath, argFlags, argMode, argPart}, results{resAttr}, StageReplace | StageReserve | StageResume | StageRead | StageFollow, noPayload},
	OpCommit:   {"COMMIT", arguments{argHandle, argFlags, argChanges}, results{resAttr}, CommitSync | CommitKeep, noPayload},
	OpClose:    {"CLOSE", arguments{argHandle, argFlags}, nil, CloseDiscard, noPayload},
	OpRead:     {"READ", arguments{argHandle, argOffset, argLength}, nil, 0, inAnswer},
	OpWrite:    {"WRITE", arguments{argHandle, argOffset}, nil, 0, inRequest},
	OpAppend:   {"APPEND", arguments{argHandle}, results{resOffset}, 0, inRequest},
	OpSync:     {"SYNC", arguments{argFile, argFlags}, nil, SyncData, noPayload},
	OpSeek:     {"SEEK", arguments{argHandle, argOffset, argFlags}, results{resOffset}, SeekHole, noPayload},
	OpAllocate: {"ALLOCATE", arguments{argHandle, argOffset, argLength, argFlags}, nil, AllocateKeepSize | AllocatePunch | AllocateZero, noPayload},
	OpCopy:     {"COPY", arguments{argHandle, argOffset, argToHandle, argToOffset, argLength}, results{resLength}, 0, noPayload},
	OpDigest:   {"DIGEST", arguments{argHandle, argOffset, argLength, argBlock}, nil, 0, inAnswer},
	OpWatch:    {"WATCH", arguments{argPath}, nil, 0, noPayload},
	OpUnwatch:  {"UNWATCH", arguments{argPath}, nil, 0, noPayload},
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

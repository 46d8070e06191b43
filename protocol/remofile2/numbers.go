package remofile2

import "strconv"

// Operation is what a request asks for: its second element.
type Operation uint16

// The operations, as the package comment has them.
const (
	OpAttach Operation = iota + 1
	OpGoodbye
	OpStatus
	OpCancel
	OpList
	OpStat
	OpSet
	OpMkdir
	OpRemove
	OpRename
	OpLink
	OpSymlink
	OpReadlink
	OpSpace
	OpOpen
	OpStage
	OpCommit
	OpClose
	OpRead
	OpWrite
	OpAppend
	OpSync
	OpSeek
	OpAllocate
	OpCopy
	OpDigest
	OpWatch
	OpUnwatch
	OpChunks
)

// Code tells how a request ended: the second element of an answer.
type Code uint16

// The codes. What each means stands in the package comment.
const (
	CodeDone Code = iota
	CodeUnknownOperation
	CodeBadRequest
	CodeFailed
	CodeNotFound
	CodeExists
	CodeNotAFile
	CodeNotADirectory
	CodeNotEmpty
	CodeInvalidName
	CodeLoop
	CodeTooLarge
	CodeNoSpace
	CodeQuota
	CodeReadOnly
	CodeForbidden
	CodeInUse
	CodeBadHandle
	CodeStale
	CodeUnsupported
	CodeTooMany
	CodeBusy
	CodeCancelled
	CodeNoData
	CodeCrossDevice
	CodeTooManyLinks
	CodeOutcomeUnknown
	CodeNameTooLong
	CodeInputOutput
)

// Event is what a notice tells: its second element.
type Event uint16

// The events, as the package comment has them.
const (
	EventChanged Event = iota + 1
	EventGone
)

// Kind is what a directory's entry is.
type Kind uint8

// The kinds.
const (
	KindFile Kind = iota
	KindDirectory
	KindSymlink
	KindPipe
	KindSocket
	KindCharacterDevice
	KindBlockDevice
)

// Flags is a sum of flags; what they mean depends on the operation.
type Flags uint32

// The flags, each beginning with the operation that it belongs to.
const (
	StatFollow Flags = 1

	SetFollow Flags = 1

	RemoveDirectory Flags = 1
	RemoveAny       Flags = 2
	RemoveRecursive Flags = 4
	RemoveDirect    Flags = 8

	RenameKeep     Flags = 1
	RenameExchange Flags = 2

	OpenRead      Flags = 1
	OpenWrite     Flags = 2
	OpenCreate    Flags = 4
	OpenExclusive Flags = 8
	OpenTruncate  Flags = 16
	OpenFollow    Flags = 32

	StageReplace Flags = 1
	StageReserve Flags = 2
	StageResume  Flags = 4
	StageRead    Flags = 8
	StageFollow  Flags = 16
	StageShared  Flags = 32

	CommitSync Flags = 1
	CommitKeep Flags = 2

	CloseDiscard Flags = 1

	SyncData Flags = 1

	SeekHole Flags = 1

	AllocateKeepSize Flags = 1
	AllocatePunch    Flags = 2
	AllocateZero     Flags = 4
)

var codeNames = [...]string{"DONE", "UNKNOWN_OPERATION", "BAD_REQUEST", "FAILED", "NOT_FOUND", "EXISTS",
	"NOT_A_FILE", "NOT_A_DIRECTORY", "NOT_EMPTY", "INVALID_NAME", "LOOP", "TOO_LARGE", "NO_SPACE", "QUOTA",
	"READ_ONLY", "FORBIDDEN", "IN_USE", "BAD_HANDLE", "STALE", "UNSUPPORTED", "TOO_MANY", "BUSY", "CANCELLED",
	"NO_DATA", "CROSS_DEVICE", "TOO_MANY_LINKS", "OUTCOME_UNKNOWN", "NAME_TOO_LONG", "INPUT_OUTPUT"}

func (c Code) String() string {
	if int(c) < len(codeNames) {
		return codeNames[c]
	}
	return nameOr("", uint16(c))
}

// nameOr is the name, or the number where there is no name: a later version has one.
func nameOr(name string, n uint16) string {
	if name == "" {
		return "number " + strconv.Itoa(int(n))
	}
	return name
}

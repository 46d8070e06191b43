package protocol

import "strconv"

// RequestType is the first element of a request.
type RequestType int

// The requests, with the numbers of the original implementation.
const (
	ListFiles RequestType = iota + 1
	CreateFile
	MakeDirectory
	UploadFile
	SendChunk
	DownloadFile
	ReceiveChunk
	CancelTransfer
	RemoveFile
)

// ResponseType is the first element of a response.
type ResponseType int

// The responses. Refused means that the request was understood and can't be
// fulfilled; Errored that it broke the protocol or that the server failed.
const (
	Accepted ResponseType = iota + 1
	Refused
	Errored
)

// Reason is the second element of a response.
type Reason int

// The reasons. The last two are ours: the original never answers REMOVE_FILE.
const (
	FilesListed Reason = iota + 1
	FileCreated
	DirectoryCreated
	InvalidFileName
	FileNotFound
	FileAlreadyExists
	NotAFile
	NotADirectory
	IncorrectFileSize
	IncorrectChunkSize
	TransferAccepted
	ChunkReceived
	ChunkSent
	TransferCompleted
	TransferCancelled
	BadRequest
	UnknownError
	FileRemoved
	DirectoryNotEmpty
)

// Messages of UNKNOWN_ERROR with a meaning of their own to a client. Besides them,
// a failure of the server's system has Linux's text for its number.
const (
	MessageReadOnly    = "the server is read-only"
	MessageThroughLink = "nothing is removed through a symbolic link"
)

// The names stand on the wire too: some Python versions send an enum member
// by its name.
var (
	requestNames = []string{"LIST_FILES", "CREATE_FILE", "MAKE_DIRECTORY", "UPLOAD_FILE", "SEND_CHUNK",
		"DOWNLOAD_FILE", "RECEIVE_CHUNK", "CANCEL_TRANSFER", "REMOVE_FILE"}
	responseNames = []string{"ACCEPTED", "REFUSED", "ERROR"}
	reasonNames   = []string{"FILES_LISTED", "FILE_CREATED", "DIRECTORY_CREATED", "INVALID_FILE_NAME",
		"FILE_NOT_FOUND", "FILE_ALREADY_EXISTS", "NOT_A_FILE", "NOT_A_DIRECTORY", "INCORRECT_FILE_SIZE",
		"INCORRECT_CHUNK_SIZE", "TRANSFER_ACCEPTED", "CHUNK_RECEIVED", "CHUNK_SENT", "TRANSFER_COMPLETED",
		"TRANSFER_CANCELLED", "BAD_REQUEST", "UNKNOWN_ERROR", "FILE_REMOVED", "DIRECTORY_NOT_EMPTY"}
)

func (t RequestType) String() string  { return nameOf(requestNames, int(t)) }
func (t ResponseType) String() string { return nameOf(responseNames, int(t)) }
func (r Reason) String() string       { return nameOf(reasonNames, int(r)) }

// nameOf returns the name of number n, which counts from 1.
func nameOf(names []string, n int) string {
	if n < 1 || n > len(names) {
		return "number " + strconv.Itoa(n)
	}
	return names[n-1]
}

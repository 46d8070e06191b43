// Package protocol is the wire of Remofile: requests, responses, reasons, names
// and limits, as bytes and types. It does no input or output.
//
// # Remofile 1
//
// This is the specification of Remofile 1 as it is spoken here: the protocol of
// the original Python implementation, with REMOVE_FILE, which it left out, and
// with replacing uploads. Where the original's documents and its implementation
// disagree, the implementation is followed, but for LIST_FILES, which is allowed
// in every state.
//
// A session is a ZMTP connection whose client has the token for its socket identity
// (package zmtp). The client is a REQ or DEALER socket; it sends a request, the server
// sends a response, and so on in turn. Each
// is a ZeroMQ message of two frames: an empty one, and a Python tuple in pickle
// (protocols 0 to 5 are read, protocol 4 is written). The first elements are
// numbers of the tables below: plain integers, or members of the original's
// enumerations in the forms in which Python pickles them.
//
//	request  1 LIST_FILES       (1, directory)
//	         2 CREATE_FILE      (2, name, directory)
//	         3 MAKE_DIRECTORY   (3, name, directory)
//	         4 UPLOAD_FILE      (4, name, directory, size, chunk_size[, replace])
//	         5 SEND_CHUNK       (5, bytes)
//	         6 DOWNLOAD_FILE    (6, name, directory, chunk_size)
//	         7 RECEIVE_CHUNK    (7,)
//	         8 CANCEL_TRANSFER  (8,)
//	         9 REMOVE_FILE      (9, name, directory)
//
//	response 1 ACCEPTED         done
//	         2 REFUSED          understood, but it can't be done
//	         3 ERROR            the request breaks the protocol, or the server failed
//
//	reason   1 FILES_LISTED          (1, 1, {name: (is_directory, size, mtime)})
//	         2 FILE_CREATED          (1, 2)
//	         3 DIRECTORY_CREATED     (1, 3)
//	         4 INVALID_FILE_NAME     (2, 4)
//	         5 FILE_NOT_FOUND        (2, 5)
//	         6 FILE_ALREADY_EXISTS   (2, 6)
//	         7 NOT_A_FILE            (2, 7)
//	         8 NOT_A_DIRECTORY       (2, 8)
//	         9 INCORRECT_FILE_SIZE   (2, 9)
//	        10 INCORRECT_CHUNK_SIZE  (2, 10)
//	        11 TRANSFER_ACCEPTED     (1, 11) to an upload, (1, 11, size) to a download
//	        12 CHUNK_RECEIVED        (1, 12)
//	        13 CHUNK_SENT            (1, 13, bytes)
//	        14 TRANSFER_COMPLETED    (1, 14) to an upload, (1, 14, bytes) to a download
//	        15 TRANSFER_CANCELLED    (1, 15)
//	        16 BAD_REQUEST           (3, 16)
//	        17 UNKNOWN_ERROR         (3, 17, message)
//	        18 FILE_REMOVED          (1, 18)
//	        19 DIRECTORY_NOT_EMPTY   (2, 19)
//
// What each request is refused for, in this order: a name that breaks the rule (4); a
// size of 0, or of the server's limit and more (9); a chunk size out of the server's
// range (10); a directory that is missing (5, but to uploads and downloads 8) or is a
// file (8); a name that exists (6), or does not (5); to a download one that is no
// regular file (7); to REMOVE_FILE a directory with something in it (19).
//
// The message of UNKNOWN_ERROR is for people, but for those of the constants that
// begin with Message and Linux's texts of system errors ("no space left on device").
//
// The last two reasons, REMOVE_FILE and the element replace are unknown to the
// original: they are only for a server that puts X-Remofile into its READY.
//
// A name obeys ValidName. A directory is a str or a path of pathlib; a relative
// or an empty one is taken from the root of the jail. Sizes are in bytes, mtime is
// a float in seconds since 1970.
//
// A session is in one of four states and begins as IDLE.
//
//	IDLE      UPLOAD_FILE leads to UPLOAD, DOWNLOAD_FILE to DOWNLOAD
//	UPLOAD    takes SEND_CHUNK and CANCEL_TRANSFER
//	DOWNLOAD  takes RECEIVE_CHUNK and CANCEL_TRANSFER
//	DELETE    while a REMOVE_FILE is under way
//
// To a server that puts X-Remofile into its READY, a client may send more chunks,
// or requests for chunks, before the answers to the former have come. Answers come
// in the order of the requests. (A REQ socket can't do that, a DEALER can.)
//
// LIST_FILES is taken in all of them; any other request in the wrong state is a
// BAD_REQUEST that changes nothing. Each chunk has chunk_size bytes and the last
// one the rest; a chunk that is no bytes or of another length, and what is no request
// at all, is a BAD_REQUEST that ends the upload. A file of 0 bytes can't be uploaded (CREATE_FILE makes it) unless
// it is to replace another: then it is one chunk of 0 bytes. The download of a file
// of 0 bytes is accepted without a size and completed without bytes. Every error
// of the server ends the transfer.
//
// # Limits
//
// What a peer may cost the other side. Nothing is allocated, or read, before its size
// has been checked; where the right column doesn't say otherwise, whoever exceeds a
// limit loses its connection.
//
//	before authentication
//	  connections        256        at a time; for one more, the oldest of the address that has most is closed;
//	                                the same, apart, of those whose HELLO shows that they know the server's key
//	  time               10 s       from the connection to the end of the handshake
//	  greeting           64 bytes   as ZMTP has it
//	  command            4 KiB      and only the one that is due
//	  token              255 bytes  one at least
//	  free failures      8          wrong tokens and keys of an address that cost it nothing
//	  delay              125 ms     for each further one, before the next handshake from there begins,
//	  longest delay      1 s        which nothing exceeds
//	  forgiveness        1 s        for each failure
//	  addresses          4096       with failures; for one more, the one that is forgiven soonest is forgotten
//
//	after it
//	  sessions           1024       one more is refused: "in use: all 1024 sessions are taken"
//	  message, server    64 KiB     and the largest chunk that the server allows, or 1 MiB if that is more
//	  message, client    64 KiB     and 16 MiB
//	  frames a message   8          of any length that the message may have; a request of other than two is a BAD_REQUEST
//	  command            4 KiB
//	  requests           one        is executed at a time, the next ones wait in the sockets' buffers
//	  bytes under way    two        messages: the request and the answer to it
//	  name               255 bytes  a longer one is refused
//	  directory          32 KiB     a longer one is a BAD_REQUEST
//	  chunk              16 MiB     at most, 512 bytes to 8 KiB by default; another size is refused
//	  file               4 GiB      by default; as much, or more, is refused
//	  listing            16 MiB     a longer one is an UNKNOWN_ERROR, and so is one of
//	  entries            400000     or more
//	  long listings      4          of more than 256 KiB, of all sessions; one more waits 10 s, and is an UNKNOWN_ERROR
//	  sending            30 s       for 1 MiB, or a shorter message
//	  vanished peer      15 s       until its connection ends
//
// An address is an IPv4 address, or the /64 of an IPv6 one; peers that have neither count
// as one. Nobody is turned away for what strangers do: at the bound a new connection is
// accepted all the same, and no delay is as long as clients wait by default.
package protocol

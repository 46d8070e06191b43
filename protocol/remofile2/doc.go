// Package remofile2 is the wire of Remofile 2: requests, answers and notices, as bytes and
// types. It does no input or output. This comment is the specification.
//
// # Messages
//
// A session is carried by a ZMTP connection as in Remofile 1 (package zmtp); its client is a
// DEALER. Client and server send messages of one to three frames:
//
//	header                  a CBOR array (RFC 8949)
//	header, payload         and raw bytes
//	header, payload, size   the payload is one zstd frame (RFC 8878) without a dictionary; size
//	                        is a CBOR unsigned integer: its length when decompressed, in bytes,
//	                        which is more than it has
//
// The first frame of a connection's first message is not empty: that tells it from Remofile 1.
// A payload, of 0 bytes or more, is there where "Operations" has one, but for answers of
// failure. Payloads are only compressed where both sides have the feature "zstd",
// each alone; limits count them decompressed.
//
// Headers follow this CDDL (RFC 8610). They are sent in core deterministic encoding (RFC 8949,
// section 4.2.1). A receiver also takes longer heads, and map keys in any order, but no indefinite
// length, no tag, no float, no simple value but false and true, no text that is not UTF-8, no key
// twice in a map of those below, no byte behind the array, no array of more than 65536 elements, no
// map of more than 256 keys, and nothing nested deeper than 8. Elements at the end of an
// array, and keys of a map, that it does not know are ignored; a key that is missing counts as 0,
// false or empty, but in changes. A number is never used again for something else.
//
//	request   = [id, operation, *argument]     ; 72 KiB at most
//	answer    = [id, 0, *result]               ; done; 1 MiB at most
//	          / [id, code, message]            ; failed
//	notice    = [0, event, *argument]          ; from the server, answers nothing; 1 MiB at most
//	argument  = any
//	result    = any
//
//	id        = 1..9007199254740991            ; each greater than all before in its session
//	operation = 0..65535
//	code      = 0..65535
//	event     = 0..65535
//	message   = tstr                           ; for people
//
//	path      = bstr .size (1..32768)          ; "/" is the jail's root; "/a/b": 1024 names at most
//	name      = bstr .size (1..255)            ; no "/", no NUL, not "." or ".."
//	target    = bstr .size (1..4095)           ; of a symbolic link; no NUL
//	cursor    = name / ''
//	part      = bstr .size (0..64)             ; chosen by the client; '' is none
//	session   = bstr .size 16 / ''
//	secret    = bstr .size 32 / ''
//	feature   = tstr .size (1..64)
//	features  = [*64 feature]
//	handle    = 0..4294967295                  ; chosen by the client
//	file      = handle / path
//	offset    = 0..9223372036854775807         ; bytes
//	length    = 0..9223372036854775807         ; bytes
//	block     = 1..9223372036854775807         ; bytes
//	exponent  = 12..20                         ; of two, the length of chunks in bytes
//	flags     = 0..4294967295                  ; a sum
//	mode      = 0..511                         ; permission bits
//	time      = -9223372036854775808..9223372036854775807    ; nanoseconds since 1970 in UTC
//	kind      = 0..6                           ; file, directory, symbolic link, pipe, socket,
//	                                           ; character device, block device
//	attr      = [kind, size: length, mode, modified: time, changed: time, links: uint, device: uint,
//	             inode: uint, born: time]      ; born is 0 where the file system does not tell
//	entry     = [name, attr]
//	changes   = {? 1: length, ? 2: mode, ? 3: time, ? 4: time}    ; size, mode, modified, accessed
//	info      = {"version": tstr,              ; of the program
//	             "protocol": uint,             ; 2
//	             "features": [*tstr],          ; of both sides
//	             "read_only": bool, "exclusive": bool, "portable_names": bool,
//	             "file_size_limit": uint,      ; bytes; 0 is none
//	             "requests": uint,             ; that the session may have under way
//	             "bytes": uint,                ; that these may take together: see "Limits"
//	             "payload": uint,              ; bytes of the longest one, decompressed
//	             "handles": uint,              ; that the session may have open
//	             "watches": uint,              ; that it may have
//	             "grace": uint}                ; seconds
//	status    = {"started": time, "sessions": [*peer],
//	             "holder": tstr,               ; who has the server, where it is exclusive
//	             "staged": uint}               ; bytes, those of kept parts, too
//	peer      = {"peer": tstr, "since": time, "requests": uint, "handles": uint, "watches": uint}
//
// A request that breaks this is a BAD_REQUEST, and so are unknown flags, a range that ends beyond
// 2^63-1, a path that is not "/" or names that each follow a "/", a payload too many or too few.
// A path or a name that is too long is NAME_TOO_LONG. A message without an id that can be
// read ends the connection.
//
// # Operations
//
// Their arguments and results:
//
//	 1 ATTACH   [session, secret, features] -> [session, secret, resumed: bool, info]
//	 2 GOODBYE  [] -> []
//	 3 STATUS   [] -> [info, status]
//	 4 CANCEL   [id] -> []
//	 5 LIST     [path, cursor, most: length] -> [cursor, entries: [*entry]]
//	 6 STAT     [file, flags] -> [attr]
//	 7 SET      [file, flags, changes] -> [attr]
//	 8 MKDIR    [path, mode] -> [attr]
//	 9 REMOVE   [path, flags] -> [removed: uint]
//	10 RENAME   [from: path, to: path, flags] -> []
//	11 LINK     [from: path, to: path] -> [attr]
//	12 SYMLINK  [path, target] -> [attr]
//	13 READLINK [path] -> [target]
//	14 SPACE    [path] -> [total: length, free: length, available: length, files: uint, free_files: uint]
//	15 OPEN     [handle, path, flags, mode] -> [attr]
//	16 STAGE    [handle, path, flags, mode, part] -> [attr]
//	17 COMMIT   [handle, flags, changes] -> [attr]
//	18 CLOSE    [handle, flags] -> []
//	19 READ     [handle, offset, length] -> [] payload
//	20 WRITE    [handle, offset] payload -> []
//	21 APPEND   [handle] payload -> [offset]
//	22 SYNC     [file, flags] -> []
//	23 SEEK     [handle, offset, flags] -> [offset]
//	24 ALLOCATE [handle, offset, length, flags] -> []
//	25 COPY     [handle, offset, to: handle, to_offset: offset, length] -> [length]
//	26 DIGEST   [handle, offset, length, block] -> [] payload
//	27 WATCH    [path] -> []
//	28 UNWATCH  [path] -> []
//	29 CHUNKS   [handle, offset, length, exponent] -> [] payload
//
// Requests are executed in parallel and answered in any order, but for those that name the same
// handle: these are executed in the order in which they were sent, beginning with the one that opens
// it, so that OPEN, READ and CLOSE can leave together. OPEN and STAGE take a handle that is
// not open; where they fail, it still is not.
//
// What fails has changed nothing, but for WRITE, APPEND, ALLOCATE, COPY, a recursive REMOVE and
// SET of several attributes, which may have done a part, and COMMIT with SYNC, whose file may be
// visible already. Symbolic links on the way to the last name of a path are
// followed inside the jail; the last one is only followed with FOLLOW, and then inside the jail, too.
//
// Flags, by operation:
//
//	STAT, SET   1 FOLLOW      a symbolic link is followed
//	REMOVE      1 DIRECTORY   an empty directory, nothing else; without any flag: no directory
//	            2 ANY         whatever it is, a directory if it is empty
//	            4 RECURSIVE   with all that is in it, nothing through a link
//	            8 DIRECT      FORBIDDEN where a symbolic link lies on the way
//	RENAME      1 KEEP        fails with EXISTS where the name is taken
//	            2 EXCHANGE    both exist and change their names
//	OPEN        1 READ
//	            2 WRITE
//	            4 CREATE      with mode, where it does not exist
//	            8 EXCLUSIVE   fails with EXISTS where it does
//	           16 TRUNCATE
//	           32 FOLLOW
//	STAGE       1 REPLACE     may replace a file at COMMIT, whose mode it gets unless COMMIT names one
//	            2 RESERVE     until COMMIT the name is EXISTS for whoever would create it, NOT_FOUND
//	                          for whoever looks it up; without it the name is not touched before.
//	                          Fails with EXISTS where there is something
//	            4 RESUME      goes on with the part of that name, if there is one
//	            8 READ        it can be read, too
//	           16 FOLLOW      a symbolic link to a file stays one: that file is replaced
//	           32 SHARED      others may be staged for the name, too, and the last COMMIT counts;
//	                          not with a part
//	COMMIT      1 SYNC        on stable storage before the answer, the directory's entry too
//	            2 KEEP        fails with EXISTS where the name has been taken since, even with REPLACE
//	CLOSE       1 DISCARD     the part of a staged file is not kept
//	SYNC        1 DATA        without what is not needed to read the data again
//	SEEK        1 HOLE        the next hole, instead of the next data
//	ALLOCATE    1 KEEP_SIZE   beyond the end, too, without making the file longer
//	            2 PUNCH       makes a hole instead; the size stays
//	            4 ZERO        zeroes the range
//
// ALLOCATE without PUNCH and ZERO reserves storage. Flags that exclude each other are a BAD_REQUEST.
//
// CANCEL asks that the request of that id ends with CANCELLED soon; it may be too late for that.
// It is answered however many requests are under way.
//
// LIST returns the entries behind the cursor; the empty cursor is the beginning. They take most
// bytes or fewer in the header, but one is returned in any case; the returned cursor is empty when
// they were the last. Cursors are names: an entry that is there all the time is listed once, whatever
// comes and goes. What comes after the page of the empty cursor may be left out of all that follow.
//
// READ returns fewer bytes than length only at the end of the file; WRITE and APPEND write all or
// fail. SEEK finds the next data or hole from offset on, and is NO_DATA where there is none. COPY
// copies within the server and returns how much there was to be copied. DIGEST returns the SHA-256
// of each block of the range, 32 bytes each; the last block may be shorter, and what is behind
// the end of the file is left out. What is asked of READ or DIGEST must fit into a payload.
//
// CHUNKS returns the chunks that begin in the range, one after the other from the offset on: the
// length of each in bytes (4 bytes, the most significant one first) and its SHA-256 (32 bytes). A
// chunk is 2^(exponent-2) bytes long or longer, and ends with the first byte with which the last
// 64 have a remainder whose lowest exponent bits are 0; else after 2^(exponent+2) bytes, or with
// the file. The remainder is that of a polynomial over GF(2), which has their bits as coefficients,
// the most significant one of the first byte as the highest; the divisor, of degree 53, is
// 0x3DA3358B4DC173 when written the same way. As many of the shortest chunks as there is room
// for in the range, rounded up, must fit into a payload.
//
// An example: of the numbers 0, 1, 2 and so on, each of 4 bytes, the most significant one first, take the
// SHA-256. One behind the other, the first 65536 bytes have, with exponent 12, chunks of 2405, 2052,
// 3650, 4223, 16384, 1127, 2523, 5651, 1535, 3906, 5825, 1136, 4646, 4833, 3383 and 2257 bytes.
//
// # Staged files
//
// A file that is uploaded is staged: written where nobody sees it, and COMMIT makes it appear under
// its name, whole, in one step. Where a request that should have changed it, other than ALLOCATE, has
// failed, COMMIT fails with the same code: it may have been sent before that was known. After COMMIT its
// handle goes on as any other. The file follows its directory where that is renamed; where it is removed,
// COMMIT is NOT_FOUND.
//
// A second STAGE of a name is IN_USE as long as the first is under way, unless one of them is
// SHARED. But a session without a connection makes way for others: its handle is STALE then, and
// its part can be resumed. A connection that may have ended is tried with a PING before: see
// "Limits".
//
// A reserved name is not yet an entry of its directory, which can be removed, but it is taken for
// all that would make it one: MKDIR, LINK, SYMLINK, RENAME, OPEN with CREATE, COMMIT of another
// file, and the requests of Remofile 1. The session that has reserved it is no exception: it knows
// the file by its handle. What a process of the server's machine makes there in spite of that is
// found by all; COMMIT then is EXISTS, or with REPLACE replaces it.
//
// OPEN with WRITE and without EXCLUSIVE publishes a reserved name first, of whatever session: the
// file appears as far as it has come, and its handle goes on as after COMMIT. COMMIT still is to
// come: it makes its changes and fails where a change of the file has failed. Where one has failed
// before, OPEN fails with its code instead, and publishes nothing.
//
// What CLOSE without DISCARD, or the end of the session or of the server's process, leaves of a
// staged file with a part name is kept for a day, unless it is empty; for less where others need
// the room. STAGE with RESUME, the same path and the same part goes on with it; attr tells its size
// and its mode, which is that of the first STAGE. STAGE without RESUME begins it anew. Its content
// may be anything: a client takes it for right only as far as digests say so.
//
// # Sessions
//
// The first request of a connection is ATTACH; others may follow without waiting for its answer.
// With an empty session and secret it begins a new session, and the answer tells both. With those
// of a session that lost its connection, or is about to, it takes that over, with its handles,
// its watches and what it has reserved: resumed is true. The server keeps a session
// without a connection for the time that info calls "grace", if its client has the feature "resume";
// the others' it ends at once. If it does not know the
// session, or the secret is another, a new one begins: resumed is false. Where an exclusive server
// has another client, ATTACH is IN_USE, and the message tells who that is. GOODBYE ends the session:
// requests that are under way end with CANCELLED.
//
// When it is told that the session is resumed, a client sends its unanswered requests again, with
// the same ids and in the same order. It may get an answer twice, and ignores one that no request
// of its waits for. The server executes none of them twice that changes something: it keeps its
// last answers, more than a client may lack, and answers again. A request whose answer it has no
// more is OUTCOME_UNKNOWN. Requests that change nothing are executed again, and find closed what
// was closed meanwhile.
//
// # Limits
//
// What a session may cost the server, besides the limits of package protocol:
//
//	requests       128         under way; one more is TOO_MANY
//	bytes          16 MiB      that they take together: payloads, what READ, DIGEST and CHUNKS ask for, most
//	                           of LIST, and the longest chunk of CHUNKS and 512 KiB; more is TOO_MANY
//	unread         256         requests that are under way or whose answer the client has not read yet, and
//	                           32 MiB of them: the server reads nothing more before it is less
//	all requests   16384       of all sessions together, counted so, and
//	all bytes      512 MiB     of them: one more waits for 10 s at most, and then is BUSY
//	executed       512         requests of all sessions at a time; DIGEST, CHUNKS and COPY take turns besides
//	payload        1 MiB       a longer one, or asking for one, is a BAD_REQUEST
//	frame          8 MiB       is what a compressed payload refers back to at most, and its blocks
//	                           are one for each 256 bytes of the payload and one more; else it
//	                           is a BAD_REQUEST
//	page           1023 KiB    of LIST, whatever it asks for
//	handles        1024        open; one more is TOO_MANY, or BUSY where the sessions of the server
//	                           have a quarter as many as its process may have descriptors
//	watches        4096        one more is TOO_MANY,
//	watched paths  1 MiB       as are longer ones, together
//	told names     256         of a directory that wait to be sent; more are any,
//	told bytes     64 KiB      of all such names; more, and anything may have changed
//	listings       8           of all sessions keep names for their next pages,
//	listed names   8 MiB       in each,
//	idle listing   30 s        when no page is asked for
//	answers        256         are kept, of requests that change something
//	path           32 KiB      a longer one is NAME_TOO_LONG,
//	names          1024        as is one of more names,
//	name           255 bytes   or of a longer one
//	removal depth  256         of directories in one another; a deeper tree is NAME_TOO_LONG
//	kept parts     1024        of staged files; for one more, the oldest goes
//	keep time      24 h        of a part, and an hour more at most
//	disk reserve   5 %         of a file system stay free of staged bytes: what would take them, or make
//	                           a file longer than what is free, is NO_SPACE
//	sign of life   2 s         that the server waits for it, before a name is IN_USE
//	grace          60 s        by default, in which a session without a connection is kept
//	sessions       1024        for one more, the session goes that has been without a connection for longest
//
// # Notices
//
//	1 CHANGED [directory: path, names: [*name]]   of these entries; no names: of any, and beneath
//	2 GONE    [directory: path]                   it is no longer there, and not watched
//
// A session is told of changes in the directories that it watches, but for those that it made
// itself: entries that have come or gone, and others' content and attributes. It does not matter
// who made them, another session or a process of the server's machine. A notice is sent when
// requests can see what it tells of. It may tell of many changes, or of more than there were.
//
// WATCH is answered when the directory is watched: who lists it after that misses nothing. A path
// that is watched already, and UNWATCH of one that is not, are DONE. Notices that were under way
// may come after UNWATCH, and GONE may come before the answer to the WATCH that it ends.
//
// What is watched is the directory to which the path leads. When that is removed, unmounted or
// renamed, whoever did it, it is GONE, and where it was renamed so is what the session watches
// beneath its path. That a directory on the way to it was renamed is told to sessions that watch
// that one, or its parent.
//
// After a take-over, and where the server has lost track of changes, CHANGED "/" without names
// tells that anything that the session watches may have changed.
// A GONE may have been lost with the connection before: after a take-over, a client that
// relies on its watches asks for them again.
//
// WATCH is BUSY where the system has no room for a watch, UNSUPPORTED where it has none to offer, or
// the directory is on a file system that others change without a word to the system: a network's, or one of
// FUSE. Some changes the server can't see: that a process of its machine gives a file one more hard link, those
// through another hard link, and, until the file is closed, those through mmap.
//
// # Codes
//
//	 0 DONE
//	 1 UNKNOWN_OPERATION  of a later version
//	 2 BAD_REQUEST        against this specification
//	 3 FAILED             for a reason that has no number; the message tells
//	 4 NOT_FOUND
//	 5 EXISTS
//	 6 NOT_A_FILE         but a directory, a link, a pipe, a device
//	 7 NOT_A_DIRECTORY
//	 8 NOT_EMPTY
//	 9 INVALID_NAME       the server takes no such name ("portable_names", and its own)
//	10 LOOP               too many symbolic links
//	11 TOO_LARGE          beyond the limit on files
//	12 NO_SPACE
//	13 QUOTA
//	14 READ_ONLY          the server, or the file system
//	15 FORBIDDEN          to the server's process, or it leads out of the jail
//	16 IN_USE             by another session, or a process of the server's machine
//	17 BAD_HANDLE         not open, or not for this
//	18 STALE              the file behind the handle is gone
//	19 UNSUPPORTED        by the server, or the file system
//	20 TOO_MANY           requests, handles or watches of the session
//	21 BUSY               the server lacks memory, or the like, for the moment
//	22 CANCELLED
//	23 NO_DATA
//	24 CROSS_DEVICE       on different file systems
//	25 TOO_MANY_LINKS
//	26 OUTCOME_UNKNOWN    it may have been done, or not
//	27 NAME_TOO_LONG      or the path
//	28 INPUT_OUTPUT       the server's storage failed
package remofile2

package remofile2

import "math"

// maxMode is all permission bits.
const maxMode = 0o777

// The rules of the CDDL.
var (
	idRule       = unsigned[uint64]("id", 1, MaxID)
	uintRule     = unsigned[uint64]("uint", 0, math.MaxUint64)
	handleRule   = unsigned[Handle]("handle", 0, math.MaxUint32)
	offsetRule   = unsigned[int64]("offset", 0, math.MaxInt64)
	lengthRule   = unsigned[int64]("length", 0, math.MaxInt64)
	blockRule    = unsigned[int64]("block", 1, math.MaxInt64)
	exponentRule = unsigned[uint8]("exponent", MinExponent, MaxExponent)
	flagsRule    = unsigned[Flags]("flags", 0, math.MaxUint32)
	modeRule     = unsigned[uint16]("mode", 0, maxMode)
	kindRule     = unsigned[Kind]("kind", 0, uint64(KindBlockDevice))
	pathRule     = byteString("path", checkPath)
	nameRule     = byteString("name", checkName)
	targetRule   = byteString("target", checkTarget)
	cursorRule   = byteString("cursor", checkCursor)
	partRule     = byteString("part", checkPart)
	sessionRule  = byteString("session", emptyOr(16))
	secretRule   = byteString("secret", emptyOr(32))
	messageRule  = textString("message", 0, MaxAnswer)
	featureRule  = textString("feature", 1, MaxFeature)
	featuresRule = list("features", featureRule, MaxFeatures, 2)
	attrRule     = record("attr", attrFields)
	entryRule    = record("entry", entryFields)
	changesRule  = mapping[Changes]("changes")
	infoRule     = mapping[Info]("info")
	statusRule   = mapping[Status]("status")
)

// The fields of requests.
var (
	argCancel   = element("id", idRule, func(r *Request) *uint64 { return &r.Cancel })
	argHandle   = element("handle", handleRule, func(r *Request) *Handle { return &r.Handle })
	argToHandle = element("to", handleRule, func(r *Request) *Handle { return &r.ToHandle })
	argPath     = element("path", pathRule, func(r *Request) *string { return &r.Path })
	argFrom     = element("from", pathRule, func(r *Request) *string { return &r.Path })
	argTo       = element("to", pathRule, func(r *Request) *string { return &r.ToPath })
	argTarget   = element("target", targetRule, func(r *Request) *string { return &r.Target })
	argOffset   = element("offset", offsetRule, func(r *Request) *int64 { return &r.Offset })
	argToOffset = element("to_offset", offsetRule, func(r *Request) *int64 { return &r.ToOffset })
	argLength   = element("length", lengthRule, func(r *Request) *int64 { return &r.Length })
	argMost     = element("most", lengthRule, func(r *Request) *int64 { return &r.Length })
	argBlock    = element("block", blockRule, func(r *Request) *int64 { return &r.Block })
	argExponent = element("exponent", exponentRule, func(r *Request) *uint8 { return &r.Exponent })
	argFlags    = element("flags", flagsRule, func(r *Request) *Flags { return &r.Flags })
	argMode     = element("mode", modeRule, func(r *Request) *uint16 { return &r.Mode })
	argChanges  = element("changes", changesRule, func(r *Request) *Changes { return &r.Changes })
	argPart     = element("part", partRule, func(r *Request) *string { return &r.Part })
	argCursor   = element("cursor", cursorRule, func(r *Request) *string { return &r.Cursor })
	argSession  = element("session", sessionRule, func(r *Request) *string { return &r.Session })
	argSecret   = element("secret", secretRule, func(r *Request) *string { return &r.Secret })
	argFeatures = element("features", featuresRule, func(r *Request) *[]string { return &r.Features })
	argFile     = field[Request]{"file", appendFile, decodeFile}
)

// The fields of answers.
var (
	resSession   = element("session", sessionRule, func(a *Answer) *string { return &a.Session })
	resSecret    = element("secret", secretRule, func(a *Answer) *string { return &a.Secret })
	resResumed   = element("resumed", boolRule, func(a *Answer) *bool { return &a.Resumed })
	resInfo      = element("info", infoRule, func(a *Answer) *Info { return &a.Info })
	resStatus    = element("status", statusRule, func(a *Answer) *Status { return &a.Status })
	resCursor    = element("cursor", cursorRule, func(a *Answer) *string { return &a.Cursor })
	resEntries   = element("entries", list("[*entry]", entryRule, maxElements, 13), func(a *Answer) *[]Entry { return &a.Entries })
	resAttr      = element("attr", attrRule, func(a *Answer) *Attr { return &a.Attr })
	resRemoved   = element("removed", uintRule, func(a *Answer) *uint64 { return &a.Removed })
	resTarget    = element("target", targetRule, func(a *Answer) *string { return &a.Target })
	resTotal     = element("total", lengthRule, func(a *Answer) *int64 { return &a.Space.Total })
	resFree      = element("free", lengthRule, func(a *Answer) *int64 { return &a.Space.Free })
	resAvailable = element("available", lengthRule, func(a *Answer) *int64 { return &a.Space.Available })
	resFiles     = element("files", uintRule, func(a *Answer) *uint64 { return &a.Space.Files })
	resFreeFiles = element("free_files", uintRule, func(a *Answer) *uint64 { return &a.Space.FreeFiles })
	resOffset    = element("offset", offsetRule, func(a *Answer) *int64 { return &a.Offset })
	resLength    = element("length", lengthRule, func(a *Answer) *int64 { return &a.Length })
)

// failure is what follows the code in an answer of failure.
var failure = results{element("message", messageRule, func(a *Answer) *string { return &a.Message })}

// The fields of notices.
var (
	noticeDirectory = element("directory", pathRule, func(n *Notice) *string { return &n.Directory })
	noticeNames     = element("names", list("[*name]", nameRule, maxElements, 2), func(n *Notice) *[]string { return &n.Names })
)

var attrFields = []field[Attr]{
	element("kind", kindRule, func(a *Attr) *Kind { return &a.Kind }),
	element("size", lengthRule, func(a *Attr) *int64 { return &a.Size }),
	element("mode", modeRule, func(a *Attr) *uint16 { return &a.Mode }),
	element("modified", timeRule, func(a *Attr) *Time { return &a.Modified }),
	element("changed", timeRule, func(a *Attr) *Time { return &a.Changed }),
	element("links", uintRule, func(a *Attr) *uint64 { return &a.Links }),
	element("device", uintRule, func(a *Attr) *uint64 { return &a.Device }),
	element("inode", uintRule, func(a *Attr) *uint64 { return &a.Inode }),
	element("born", timeRule, func(a *Attr) *Time { return &a.Born }),
}

var entryFields = []field[Entry]{
	element("name", nameRule, func(e *Entry) *string { return &e.Name }),
	element("attr", attrRule, func(e *Entry) *Attr { return &e.Attr }),
}

// appendFile and decodeFile are of a handle or a path.
func appendFile(b []byte, r *Request) []byte {
	if r.Path == "" {
		return argHandle.append(b, r)
	}
	return argPath.append(b, r)
}

func decodeFile(d *decoder, r *Request) {
	if len(d.rest) > 0 && d.rest[0]&0xe0 == majorUnsigned {
		argHandle.decode(d, r)
	} else {
		argPath.decode(d, r)
	}
}

package pickle

// The accepted opcodes, under the names of Python's pickletools.
const (
	opProto = 0x80 // version of the protocol, 1 byte
	opFrame = 0x95 // length of the frame, 8 bytes
	opStop  = '.'
	opMark  = '('

	opNone     = 'N'
	opNewTrue  = 0x88
	opNewFalse = 0x89

	opInt      = 'I'  // decimal line; "00" and "01" are bools
	opBinInt   = 'J'  // 4 bytes with sign
	opBinInt1  = 'K'  // 1 byte
	opBinInt2  = 'M'  // 2 bytes
	opLong     = 'L'  // decimal line that ends in "L"
	opLong1    = 0x8a // length of 1 byte, then as many bytes with sign
	opFloat    = 'F'  // decimal line
	opBinFloat = 'G'  // 8 bytes, big-endian (all other numbers: little-endian)

	opUnicode         = 'V'  // line in raw-unicode-escape
	opBinUnicode      = 'X'  // length of 4 bytes, UTF-8
	opShortBinUnicode = 0x8c // length of 1 byte, UTF-8
	opBinUnicode8     = 0x8d // length of 8 bytes, UTF-8
	opBinBytes        = 'B'  // length of 4 bytes
	opShortBinBytes   = 'C'  // length of 1 byte
	opBinBytes8       = 0x8e // length of 8 bytes

	opEmptyTuple = ')'
	opTuple      = 't' // of the values above the mark
	opTuple1     = 0x85
	opTuple2     = 0x86
	opTuple3     = 0x87

	opEmptyList = ']'
	opList      = 'l' // of the values above the mark
	opAppend    = 'a'
	opAppends   = 'e'

	opEmptyDict = '}'
	opDict      = 'd' // of the keys and values above the mark
	opSetItem   = 's'
	opSetItems  = 'u'

	opPut        = 'p'  // decimal line
	opBinPut     = 'q'  // 1 byte
	opLongBinPut = 'r'  // 4 bytes
	opMemoize    = 0x94 // the next free number
	opGet        = 'g'  // decimal line
	opBinGet     = 'h'  // 1 byte
	opLongBinGet = 'j'  // 4 bytes

	opGlobal      = 'c'  // line of the module, line of the name
	opStackGlobal = 0x93 // module and name from the stack
	opReduce      = 'R'  // calls a global with a tuple
)

// maxProtocol is the newest version of the format that Decode knows.
const maxProtocol = 5

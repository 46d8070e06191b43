"""Encodes and decodes the messages of golden.txt with cbor2, from the specification alone."""

import re
import sys

import cbor2

NOW = 1700000000123456789
ATTR = [0, 1234567, 0o644, NOW, NOW + 1, 2, 2049, 1 << 40, 0]
FOLDER = [1, 4096, 0o755, -1, -1 << 63, 3, 2049, (1 << 64) - 1, NOW]
INFO = {
    "version": "0.3.0", "protocol": 2, "features": ["zstd"],
    "read_only": False, "exclusive": True, "portable_names": False, "file_size_limit": 1 << 32,
    "requests": 256, "bytes": 32 << 20, "payload": 1 << 20, "handles": 4096, "watches": 1024, "grace": 60,
}
STATUS = {
    "started": NOW, "staged": 70000, "holder": "192.0.2.7:5000",
    "sessions": [{"peer": "192.0.2.7:5000", "since": NOW, "requests": 1, "handles": 0, "watches": 2}],
}
SESSION, SECRET = bytes(range(16)), bytes(range(32))

MESSAGES = {
    "request ATTACH, a new session": [1, 1, b"", b"", []],
    "request ATTACH": [2, 1, SESSION, SECRET, ["zstd", "naïve"]],
    "request GOODBYE": [3, 2],
    "request STATUS": [4, 3],
    "request CANCEL": [5, 4, 2**53 - 1],
    "request LIST": [6, 5, b"/a", b"", 65536],
    "request LIST, what follows": [7, 5, b"/a", b"\xff.txt", 65536],
    "request STAT": [8, 6, b"/a/b", 1],
    "request STAT, of a handle": [9, 6, 2**32 - 1, 0],
    "request SET": [10, 7, b"/a/b", 1, {1: 0, 2: 0o600, 3: NOW, 4: -NOW}],
    "request SET, nothing": [11, 7, 3, 0, {}],
    "request MKDIR": [12, 8, b"/a", 0o755],
    "request REMOVE": [13, 9, b"/a", 4],
    "request RENAME": [14, 10, b"/a", b"/b", 1],
    "request LINK": [15, 11, b"/a", b"/b"],
    "request SYMLINK": [16, 12, b"/a", b"../\xe9"],
    "request READLINK": [17, 13, b"/a"],
    "request SPACE": [18, 14, b"/"],
    "request OPEN": [19, 15, 3, b"/a", 63, 0o640],
    "request STAGE": [20, 16, 3, b"/a", 7, 0o640, b"part-1"],
    "request STAGE, shared": [36, 16, 3, b"/a", 33, 0o640, b""],
    "request COMMIT": [21, 17, 3, 3, {3: NOW}],
    "request CLOSE": [22, 18, 3, 1],
    "request READ": [23, 19, 3, 1 << 32, 1 << 20],
    "request READ, to the last byte of all": [24, 19, 3, 2**63 - 1 - 24, 24],
    "request WRITE": [255, 20, 3, 255],
    "request APPEND": [256, 21, 3],
    "request SYNC": [65535, 22, b"/", 0],
    "request SEEK": [65536, 23, 3, 100, 1],
    "request ALLOCATE": [2**32 - 1, 24, 3, 0, 1 << 30, 5],
    "request COPY": [2**32, 25, 3, 24, 4, 23, 1000],
    "request CHUNKS": [37, 29, 3, 100, 64 << 20, 16],
    "request DIGEST": [2**53 - 1, 26, 3, 0, 1 << 30, 1 << 17],
    "request WATCH": [34, 27, b"/"],
    "request UNWATCH": [35, 28, b"/"],
    "answer ATTACH": [1, 0, SESSION, SECRET, True, INFO],
    "answer GOODBYE": [3, 0],
    "answer STATUS": [4, 0, INFO, STATUS],
    "answer CANCEL": [5, 0],
    "answer LIST": [6, 0, b"b", [[b"a", ATTR], [b"b", FOLDER]]],
    "answer LIST, the end": [7, 0, b"", []],
    "answer STAT": [8, 0, ATTR],
    "answer SET": [10, 0, FOLDER],
    "answer MKDIR": [12, 0, FOLDER],
    "answer REMOVE": [13, 0, 2**64 - 1],
    "answer RENAME": [14, 0],
    "answer LINK": [15, 0, ATTR],
    "answer SYMLINK": [16, 0, ATTR],
    "answer READLINK": [17, 0, b"../\xe9"],
    "answer SPACE": [18, 0, 1 << 50, 1 << 49, 1 << 48, 1 << 33, 1 << 32],
    "answer OPEN": [19, 0, ATTR],
    "answer STAGE": [20, 0, ATTR],
    "answer COMMIT": [21, 0, ATTR],
    "answer CLOSE": [22, 0],
    "answer READ": [23, 0],
    "answer WRITE": [255, 0],
    "answer APPEND": [256, 0, 1 << 20],
    "answer SYNC": [65535, 0],
    "answer SEEK": [65536, 0, 4096],
    "answer ALLOCATE": [2**32 - 1, 0],
    "answer COPY": [2**32, 0, 1000],
    "answer CHUNKS": [37, 0],
    "answer DIGEST": [2**53 - 1, 0],
    "answer WATCH": [34, 0],
    "answer UNWATCH": [35, 0],
    "answer STAT, a failure": [8, 4, "/a/b: no entry “b”"],
    "notice CHANGED": [0, 1, b"/a", [b"b", b"\xff"]],
    "notice CHANGED, anything": [0, 1, b"/", []],
    "notice GONE": [0, 2, b"/a/b"],
    "size": 1 << 20,
}


def messages(path):
    """Returns the messages of a golden file: their bytes, by their names."""
    found = {}
    for line in open(path, encoding="utf-8"):
        field, _, comment = line.rstrip("\n").partition(";")
        if re.fullmatch("([0-9a-f]{2} *)+", field):
            found[name] += bytes.fromhex(field)
        elif field:
            name = field
            found[name] = b""
    return found


def main():
    golden = messages(sys.argv[1])
    failed = golden.keys() ^ MESSAGES.keys()
    for name in golden.keys() & MESSAGES.keys():
        if cbor2.loads(golden[name]) != MESSAGES[name]:
            failed.add(name + ", decoded")
        if cbor2.dumps(MESSAGES[name], canonical=True) != golden[name]:
            failed.add(name + ", encoded")
    for name in sorted(failed):
        print("it differs:", name)
    print(len(golden), "messages")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()

"""Does what a client of Remofile 2 can do: client2.py PORT TOKEN

It ends with an error where something is not as the specification says."""
import hashlib
import sys

from remofile2 import *

PORT, TOKEN = int(sys.argv[1]), sys.argv[2]
DATA = bytes(range(256)) * 1000
RANDOM = b"".join(hashlib.sha256(n.to_bytes(4, "big")).digest() for n in range(2000))


def upload(session, path, content, piece=100_000):
    """Sends all requests before it waits for an answer."""
    sent = [session.send(STAGE, 1, path, 0, 0o640, b"")]
    for offset in range(0, len(content), piece):
        sent.append(session.send(WRITE, 1, offset, payload=content[offset:offset + piece]))
    sent.append(session.send(COMMIT, 1, 0, {CHANGE_MODIFIED: 1_000_000_007_000_000_000}))
    sent.append(session.send(CLOSE, 1, 0))
    for id in reversed(sent):
        session.receive(id)


def download(session, path):
    session.send(OPEN, 2, path, OPEN_READ, 0)
    content, offset = b"", 0
    while piece := session.ask(READ, 2, offset, 65536)[0]:
        content += piece
        offset += len(piece)
    session.ask(CLOSE, 2, 0)
    return content


def chunks(content, exponent):
    """Cuts a content as CHUNKS does."""
    def remainder(n):
        while n.bit_length() > 53:
            n ^= 0x3DA3358B4DC173 << n.bit_length() - 54
        return n

    gone = [remainder(byte << 64 * 8) for byte in range(256)]
    begin = 0
    while begin < len(content):
        end = min(begin + 2 ** (exponent - 2), len(content))
        n = remainder(int.from_bytes(content[end - 64:end], "big"))
        while end < min(begin + 2 ** (exponent + 2), len(content)) and n % 2 ** exponent:
            n = remainder(n << 8 | content[end]) ^ gone[content[end - 64]]
            end += 1
        yield content[begin:end]
        begin = end


def names(session, directory, most):
    """Lists a directory, in pages of most bytes."""
    found, cursor = [], b""
    while True:
        cursor, entries = session.ask(LIST, directory, cursor, most)
        found += [name for name, attr in entries]
        if not cursor:
            return sorted(found)


def expect_failure(code, session, *request):
    try:
        session.ask(*request)
    except Failed as failed:
        assert failed.code == code, failed
    else:
        raise AssertionError(f"{request} succeeded")


def main():
    session = Session(PORT, TOKEN)
    assert not session.resumed and session.info["protocol"] == 2, session.info

    # Directories and files.
    attr, = session.ask(MKDIR, b"/from python", 0o750)
    assert attr[KIND] == DIRECTORY and attr[MODE] == 0o750, attr
    upload(session, b"/from python/data.bin", DATA)
    assert download(session, b"/from python/data.bin") == DATA
    attr, = session.ask(STAT, b"/from python/data.bin", 0)
    assert attr[KIND] == FILE and attr[SIZE] == len(DATA) and attr[MODE] == 0o640, attr
    expect_failure(EXISTS, session, MKDIR, b"/from python", 0o750)
    expect_failure(NOT_FOUND, session, STAT, b"/none", 0)

    # A name is bytes; a listing comes in pages.
    for name in b"a", "ü".encode(), b"not UTF-8 \xff":
        session.ask(OPEN, 3, b"/from python/" + name, OPEN_WRITE | OPEN_CREATE | OPEN_EXCLUSIVE, 0o600)
        session.ask(CLOSE, 3, 0)
    assert names(session, b"/from python", most=1) == [b"a", b"data.bin", b"not UTF-8 \xff", "ü".encode()]

    # Ranges of a file that is open, at its end too.
    session.ask(OPEN, 4, b"/from python/a", OPEN_READ | OPEN_WRITE, 0)
    session.ask(WRITE, 4, 3, payload=b"456")
    offset, = session.ask(APPEND, 4, payload=b"789")
    assert offset == 6, offset
    content, = session.ask(READ, 4, 0, 100)
    assert content == bytes(3) + b"456789", content
    digests, = session.ask(DIGEST, 4, 0, 100, 4)
    assert digests == b"".join(hashlib.sha256(block).digest() for block in (bytes(3) + b"4", b"5678", b"9")), digests
    session.ask(SYNC, 4, 0)

    # The chunks of a file, from an offset on and to the end.
    upload(session, b"/from python/chunks", RANDOM)
    session.ask(OPEN, 5, b"/from python/chunks", OPEN_READ, 0)
    found, = session.ask(CHUNKS, 5, 100, len(RANDOM), 12)
    assert found == b"".join(len(chunk).to_bytes(4, "big") + hashlib.sha256(chunk).digest()
                             for chunk in chunks(RANDOM[100:], 12)), found
    session.ask(CLOSE, 5, 0)
    session.ask(REMOVE, b"/from python/chunks", 0)

    # The session outlives its connection, with what is open.
    session.lose_connection()
    session.connect()
    assert session.resumed
    content, = session.ask(READ, 4, 6, 100)
    assert content == b"789", content
    session.ask(CLOSE, 4, 0)
    expect_failure(BAD_HANDLE, session, READ, 4, 0, 1)

    # What only a later version has: an operation, an element at the end, a key.
    expect_failure(UNKNOWN_OPERATION, session, 9999, "whatever", {"it": [1, 2]})
    session.ask(SET, b"/from python/a", 0, {CHANGE_MODE: 0o600, 99: "later"}, "later")

    # Names.
    session.ask(RENAME, b"/from python/a", b"/from python/renamed", RENAME_KEEP)
    expect_failure(EXISTS, session, RENAME, b"/from python/renamed", b"/from python/data.bin", RENAME_KEEP)
    session.ask(SYMLINK, b"/from python/link", b"data.bin")
    target, = session.ask(READLINK, b"/from python/link")
    assert target == b"data.bin", target
    session.ask(MKDIR, b"/removed", 0o700)
    upload(session, b"/removed/file", b"")
    removed, = session.ask(REMOVE, b"/removed", REMOVE_RECURSIVE)
    assert removed == 2, removed

    # What other sessions change.
    session.ask(WATCH, b"/from python")
    other = Session(PORT, TOKEN)
    other.ask(MKDIR, b"/from python/new", 0o700)
    event, directory, names_changed = session.notice()
    assert event == CHANGED and directory == b"/from python", (event, directory)
    assert not names_changed or b"new" in names_changed, names_changed
    other.ask(REMOVE, b"/from python/new", REMOVE_DIRECTORY)
    other.end()
    session.ask(UNWATCH, b"/from python")

    session.end()


main()

"""A client of Remofile 2, written from its specification, the comment of package
protocol/remofile2. A session sends requests and receives answers:

    session = Session(port, token)
    attr, = session.ask(STAT, b"/song.ogg", 0)

Many requests may be under way:

    session.send(OPEN, 1, b"/song.ogg", OPEN_READ, 0)
    read = session.send(READ, 1, 0, 65536)
    session.send(CLOSE, 1, 0)
    content, = session.receive(read)
"""
import itertools

import cbor2
import zmq
from encryption import encrypt_client

(ATTACH, GOODBYE, STATUS, CANCEL, LIST, STAT, SET, MKDIR, REMOVE, RENAME, LINK, SYMLINK, READLINK, SPACE, OPEN,
 STAGE, COMMIT, CLOSE, READ, WRITE, APPEND, SYNC, SEEK, ALLOCATE, COPY, DIGEST, WATCH, UNWATCH, CHUNKS) = range(1, 30)

REMOVE_DIRECTORY, REMOVE_ANY, REMOVE_RECURSIVE = 1, 2, 4
RENAME_KEEP = 1
OPEN_READ, OPEN_WRITE, OPEN_CREATE, OPEN_EXCLUSIVE = 1, 2, 4, 8

FILE, DIRECTORY = range(2)                  # kinds
KIND, SIZE, MODE = range(3)                 # of the elements of an attr
CHANGE_MODE, CHANGE_MODIFIED = 2, 3         # of the keys of changes

CHANGED, GONE = 1, 2                        # events

UNKNOWN_OPERATION, NOT_FOUND, EXISTS, BAD_HANDLE = 1, 4, 5, 17    # of the codes


class Failed(Exception):
    """The answer of a request that failed."""

    def __init__(self, code, message):
        super().__init__(f"code {code}: {message}")
        self.code = code


class Session:
    def __init__(self, port, token):
        self.port, self.token = port, token
        self.ids = itertools.count(1)
        self.answers = {}                   # those that have come and that nobody has received, by id
        self.notices = []                   # those that nobody has taken
        self.id = self.secret = b""
        self.connect()

    def connect(self):
        """Begins the session, or takes it over with a new connection."""
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.setsockopt(zmq.IDENTITY, self.token.encode())
        self.socket.setsockopt(zmq.LINGER, 0)
        # Each connection begins with ATTACH, so libzmq must make none of its own. (With -1 for "never" it also
        # drops what has come before the server hung up, as it does after GOODBYE.)
        self.socket.setsockopt(zmq.RECONNECT_IVL, 2**31 - 1)
        self.socket.setsockopt(zmq.RCVTIMEO, 30000)
        encrypt_client(self.socket, self.token)
        self.socket.connect(f"tcp://127.0.0.1:{self.port}")
        self.id, self.secret, self.resumed, self.info = self.ask(ATTACH, self.id, self.secret, ["resume"])

    def lose_connection(self):
        self.socket.close()

    def end(self):
        self.ask(GOODBYE)
        self.socket.close()

    def send(self, operation, *arguments, payload=None):
        """Sends a request and returns its id."""
        id = next(self.ids)
        header = cbor2.dumps([id, operation, *arguments], canonical=True)
        self.socket.send_multipart([header] if payload is None else [header, payload])
        return id

    def receive(self, id):
        """Returns the results of the request, with its payload as the last one."""
        while id not in self.answers:
            self.read()
        code, *results = self.answers.pop(id)
        if code != 0:
            raise Failed(code, results[0])
        return results

    def ask(self, operation, *arguments, payload=None):
        return self.receive(self.send(operation, *arguments, payload=payload))

    def notice(self):
        """Returns an event and its arguments."""
        while not self.notices:
            self.read()
        return self.notices.pop(0)

    def read(self):
        header, *payload = self.socket.recv_multipart()
        id, *rest = cbor2.loads(header)
        if id == 0:
            self.notices.append(rest)
        else:
            self.answers[id] = rest + payload

"""A server that behaves as the Python Remofile does: server.py DIRECTORY TOKEN

One ROUTER socket, one transfer state for all, pickled enumerations in its
answers. It knows neither REMOVE_FILE nor a sixth element of UPLOAD_FILE: a request
that the original would die of ends it with status 70. It prints its port."""
import os
import pathlib
import pickle
import sys

import zmq
from encryption import encrypt_server
from remofile_enums import Reason, Request, Response

FORBIDDEN = set('<>:"/\\|?*')
CHUNK_SIZES = range(512, int(os.environ.get("MAX_CHUNK_SIZE", "8192")) + 1)
FILE_SIZE_LIMIT = 4 << 30


class Unknown(Exception):
    """A request that the original has no answer to."""


class Server:
    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.file = None  # of the transfer under way
        self.state = "IDLE"
        self.left = self.chunk = 0

    def answer(self, request):
        kind = Request(request[0])
        if kind is Request.REMOVE_FILE:
            raise Unknown(request)
        handler = getattr(self, kind.name.lower())
        needed = {"SEND_CHUNK": "UPLOAD", "RECEIVE_CHUNK": "DOWNLOAD"}.get(kind.name, "IDLE")
        if kind is Request.CANCEL_TRANSFER:
            allowed = self.state != "IDLE"
        else:
            allowed = self.state == needed
        if not allowed:
            return Response.ERROR, Reason.BAD_REQUEST
        return handler(*request[1:])

    def local(self, directory):
        return self.root / str(directory).lstrip("/")

    def check(self, name, directory):
        where = self.local(directory)
        if set(name) & FORBIDDEN:
            return where, (Response.REFUSED, Reason.INVALID_FILE_NAME)
        if not where.exists():
            return where, (Response.REFUSED, Reason.FILE_NOT_FOUND)
        if not where.is_dir():
            return where, (Response.REFUSED, Reason.NOT_A_DIRECTORY)
        return where, None

    def list_files(self, directory):
        where, refused = self.check("", directory)
        if refused:
            return refused
        entries = {}
        for path in where.iterdir():
            stat = path.stat()
            entries[path.name] = (path.is_dir(), 0 if path.is_dir() else stat.st_size, stat.st_mtime)
        return Response.ACCEPTED, Reason.FILES_LISTED, entries

    def create_file(self, name, directory):
        where, refused = self.check(name, directory)
        if not refused and (where / name).exists():
            refused = Response.REFUSED, Reason.FILE_ALREADY_EXISTS
        if not refused:
            (where / name).touch()
        return refused or (Response.ACCEPTED, Reason.FILE_CREATED)

    def make_directory(self, name, directory):
        where, refused = self.check(name, directory)
        if not refused and (where / name).exists():
            refused = Response.REFUSED, Reason.FILE_ALREADY_EXISTS
        if not refused:
            (where / name).mkdir()
        return refused or (Response.ACCEPTED, Reason.DIRECTORY_CREATED)

    def transfer(self, name, directory, chunk):
        where, refused = self.check(name, directory)
        if refused and refused[1] is Reason.FILE_NOT_FOUND:
            refused = Response.REFUSED, Reason.NOT_A_DIRECTORY
        if not refused and chunk not in CHUNK_SIZES:
            refused = Response.REFUSED, Reason.INCORRECT_CHUNK_SIZE
        return where / name, refused

    def upload_file(self, name, directory, size, chunk):
        path, refused = self.transfer(name, directory, chunk)
        if not refused and path.exists():
            refused = Response.REFUSED, Reason.FILE_ALREADY_EXISTS
        if not refused and not 0 < size < FILE_SIZE_LIMIT:
            refused = Response.REFUSED, Reason.INCORRECT_FILE_SIZE
        if refused:
            return refused
        self.file, self.state, self.left, self.chunk = path.open("wb"), "UPLOAD", size, chunk
        return Response.ACCEPTED, Reason.TRANSFER_ACCEPTED

    def send_chunk(self, data):
        if type(data) is not bytes or len(data) != min(self.chunk, self.left):
            self.end()
            return Response.ERROR, Reason.BAD_REQUEST
        self.file.write(data)
        self.left -= len(data)
        if self.left:
            return Response.ACCEPTED, Reason.CHUNK_RECEIVED
        self.end()
        return Response.ACCEPTED, Reason.TRANSFER_COMPLETED

    def download_file(self, name, directory, chunk):
        path, refused = self.transfer(name, directory, chunk)
        if not refused and not path.exists():
            refused = Response.REFUSED, Reason.FILE_NOT_FOUND
        if not refused and not path.is_file():
            refused = Response.REFUSED, Reason.NOT_A_FILE
        if refused:
            return refused
        self.file, self.state, self.left, self.chunk = path.open("rb"), "DOWNLOAD", path.stat().st_size, chunk
        size = (self.left,) if self.left else ()
        return (Response.ACCEPTED, Reason.TRANSFER_ACCEPTED) + size

    def receive_chunk(self):
        data = self.file.read(min(self.chunk, self.left))
        self.left -= len(data)
        if self.left:
            return Response.ACCEPTED, Reason.CHUNK_SENT, data
        self.end()
        return (Response.ACCEPTED, Reason.TRANSFER_COMPLETED) + ((data,) if data else ())

    def cancel_transfer(self):
        self.end()
        return Response.ACCEPTED, Reason.TRANSFER_CANCELLED

    def end(self):
        self.file.close()
        self.state = "IDLE"


def main():
    root, token = sys.argv[1:]
    socket = zmq.Context().socket(zmq.ROUTER)
    encrypt_server(socket, token)
    print(socket.bind_to_random_port("tcp://127.0.0.1"), flush=True)
    server = Server(root)
    while True:
        identity, empty, body = socket.recv_multipart()
        if identity != token.encode() or empty:
            continue
        try:
            response = server.answer(pickle.loads(body))
        except Exception as err:
            print(f"the original dies of {body!r}: {err!r}", file=sys.stderr, flush=True)
            os._exit(70)
        socket.send_multipart([identity, b"", pickle.dumps(response)])


main()

"""A client that speaks as the Python Remofile does: client.py PORT TOKEN

It runs a fixed conversation and prints one line of JSON for each response."""
import json
import pathlib
import pickle
import sys

import zmq
from encryption import encrypt_client
from remofile_enums import Request

PurePosixPath = pathlib.PurePosixPath


def main():
    port, token = sys.argv[1:]
    socket = zmq.Context().socket(zmq.REQ)
    socket.setsockopt(zmq.IDENTITY, token.encode())
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.RCVTIMEO, 20000)
    encrypt_client(socket, token)
    socket.connect(f"tcp://127.0.0.1:{port}")

    def ask(*request, protocol=pickle.DEFAULT_PROTOCOL):
        socket.send(pickle.dumps(request, protocol))
        response = pickle.loads(socket.recv())
        print(json.dumps(response, default=lambda data: data.hex()), flush=True)
        return response

    data = bytes(range(256)) * 40
    ask(Request.MAKE_DIRECTORY, "from python", PurePosixPath("/"))
    ask(Request.UPLOAD_FILE, "data.bin", PurePosixPath("/from python"), len(data), 8192)
    ask(Request.SEND_CHUNK, data[:8192])
    ask(Request.SEND_CHUNK, data[8192:])
    ask(Request.CREATE_FILE, "empty", "/from python")
    ask(Request.CREATE_FILE, "empty", "/from python")
    ask(Request.LIST_FILES, PurePosixPath("/from python"))
    ask(Request.DOWNLOAD_FILE, "data.bin", pathlib.PosixPath("/from python"), 8192)
    ask(Request.RECEIVE_CHUNK)
    ask(Request.RECEIVE_CHUNK)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        ask(Request.UPLOAD_FILE, f"p{protocol}", "/", 600, 512, protocol=protocol)
        ask(Request.SEND_CHUNK, data[:512], protocol=protocol)
        ask(Request.SEND_CHUNK, data[512:600], protocol=protocol)
    ask(Request.REMOVE_FILE, "from python", "/")
    ask(Request.REMOVE_FILE, "p0", "/")


main()

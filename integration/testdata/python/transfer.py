"""Transfers one file as the Python Remofile does:
transfer.py PORT TOKEN upload|download SIZE CHUNK_SIZE"""
import pickle
import sys

import zmq
from remofile_enums import Reason, Request


def main():
    port, token, way, size, chunk = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
    socket = zmq.Context().socket(zmq.REQ)
    socket.setsockopt(zmq.IDENTITY, token.encode())
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.RCVTIMEO, 20000)
    socket.connect(f"tcp://127.0.0.1:{port}")

    def ask(*request):
        socket.send(pickle.dumps(request))
        return pickle.loads(socket.recv())

    reason = Reason.TRANSFER_ACCEPTED
    if way == "upload":
        first = ask(Request.UPLOAD_FILE, "python.bin", "/", size, chunk)
        block = bytes(chunk)
        while size > 0:
            reason = ask(Request.SEND_CHUNK, block[:size])[1]
            size -= chunk
    else:
        first = ask(Request.DOWNLOAD_FILE, "python.bin", "/", chunk)
        while size > 0:
            reason, data = ask(Request.RECEIVE_CHUNK)[1:]
            size -= len(data)
    if first[1] is not Reason.TRANSFER_ACCEPTED or reason is not Reason.TRANSFER_COMPLETED:
        sys.exit(f"{first} {reason}")


main()

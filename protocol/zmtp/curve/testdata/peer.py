"""A libzmq peer.

peer.py serve             binds a ROUTER, prints its port, and answers each message with
                          the sender's identity and the message
peer.py connect PORT TYPE connects a socket of that type as "a secret identity" and
                          exits with 0 when messages of all sizes came back

SERVER_KEY is the server's private or public key in Z85; without it there is no encryption."""
import os
import sys

import zmq

key = os.environ.get("SERVER_KEY", "").encode()
context = zmq.Context()
context.linger = 0


def serve():
    socket = context.socket(zmq.ROUTER)
    if key:
        socket.curve_server = True
        socket.curve_secretkey = key
    print(socket.bind_to_random_port("tcp://127.0.0.1"), flush=True)
    while True:
        identity, *frames = socket.recv_multipart()
        socket.send_multipart([identity, identity, *frames])


def connect(port, kind):
    socket = context.socket(getattr(zmq, kind))
    socket.identity = b"a secret identity"
    socket.rcvtimeo = 20000
    if key:
        socket.curve_publickey, socket.curve_secretkey = zmq.curve_keypair()
        socket.curve_serverkey = key
    socket.connect("tcp://127.0.0.1:" + port)
    for size in 0, 1, 222, 223, 255, 256, 8192, 1 << 20:
        sent = [b"x" * size, b"", bytes(range(256)) * 3]
        socket.send_multipart(sent)
        if socket.recv_multipart() != sent:
            sys.exit("another message of %d bytes came back" % size)


role, *arguments = sys.argv[1:]
{"serve": serve, "connect": connect}[role](*arguments)

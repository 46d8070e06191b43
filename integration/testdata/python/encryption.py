"""CURVE as the comment of package protocol/zmtp specifies it. The environment tells
how a connection is encrypted:

SERVER_KEY   of a server its private key, of a client the server's public key, in Z85;
             "derived": the pair is derived from the token; unset: no encryption"""
import hashlib
import hmac
import os
import re

import zmq
from zmq.utils import z85

SALT = b"Remofile token key 1"
STRONG = re.compile("[23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz]{22}")


def private_key(token):
    """Returns the private key of a server that has its token only."""
    if STRONG.fullmatch(token):
        # RFC 5869 with SHA-256: extract, and the one block of expand.
        extracted = hmac.digest(SALT, token.encode(), hashlib.sha256)
        key = hmac.digest(extracted, b"\x01", hashlib.sha256)
    else:
        from argon2.low_level import Type, hash_secret_raw
        key = hash_secret_raw(token.encode(), SALT, time_cost=2, memory_cost=19456, parallelism=1,
                              hash_len=32, type=Type.ID, version=0x13)
    return z85.encode(key)


def encrypt_client(socket, token):
    key = os.environ.get("SERVER_KEY", "").encode()
    if key == b"derived":
        key = zmq.curve_public(private_key(token))
    if key:
        socket.curve_publickey, socket.curve_secretkey = zmq.curve_keypair()
        socket.curve_serverkey = key


def encrypt_server(socket, token):
    key = os.environ.get("SERVER_KEY", "").encode()
    if key == b"derived":
        key = private_key(token)
    if key:
        socket.curve_server = True
        socket.curve_secretkey = key

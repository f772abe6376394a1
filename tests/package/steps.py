# SPDX-License-Identifier: GPL-2.0
"""
Two hosts on the ends of a WAN, and what a reader of a document types there. Only
what a document tells the reader to put in its place is replaced: addresses.
"""
import contextlib
import hashlib
import os

import rig

# The addresses of the documents (RFC 5737), and those of the rig.
PLACES = {"203.0.113.0/28": "10.2.0.0/24", "203.0.113.10": rig.IPV4.remote,
          "198.51.100.1": rig.IPV4.wan}


def in_place(text):
    for written, real in PLACES.items():
        text = text.replace(written, real)
    return text


def commands(block):
    """The lines that are typed, without what is said of them and who says it."""
    lines = (line.split(" #")[0].strip() for line in block.splitlines())
    return [line.removeprefix("sudo ") for line in lines if line]


def copy_key(gateway, remote, path):
    """As the documents say: to the same place, mode 0600."""
    remote.write(path, gateway.read(path), 0o600)


class Website:
    """A file that an application on the remote serves on port 80."""

    def __init__(self, net, remote, directory):
        self.net = net
        self.content = os.urandom(8 << 20)
        with open(os.path.join(directory, "file"), "wb") as file:
            file.write(self.content)
        remote.spawn("/usr/bin/python3", "-m", "http.server", "80", "--bind", rig.IPV4.remote,
                     "--directory", directory)
        rig.wait_for(lambda: net.remote.accepts(rig.IPV4, rig.IPV4.remote, 80), "port 80 is open")

    def download(self, gateway):
        """What the client got, and what `sluice show flows` said meanwhile."""
        seen = []
        sock = self.net.client.connect(rig.IPV4, rig.IPV4.remote, 80, SO_RCVBUF=65536)
        with contextlib.closing(sock):
            sock.sendall(b"GET /file HTTP/1.0\r\n\r\n")
            received = rig.receive(sock, 65536)
            seen = gateway.run("sluice", "show", "flows").stdout
            controls = self.net.remote.run("ss", "-HtinO", "sport = :80").stdout
            received += rig.receive_all(sock)
        body = received.split(b"\r\n\r\n", 1)[1]
        assert hashlib.sha256(body).digest() == hashlib.sha256(self.content).digest()
        return seen, controls

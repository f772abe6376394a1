# SPDX-License-Identifier: GPL-2.0
"""
Odd peers: streams whose every byte is known, servers and clients that run in a
thread of the test, a parser of PROXY headers, and (as a program) a link that is slow.
"""
import contextlib
import fcntl
import hashlib
import heapq
import ipaddress
import math
import os
import random
import select
import socket
import struct
import sys
import threading
import time

from rig import PATIENCE, echo

BLOCK = 1 << 18


class Stream:
    """Size bytes in which no block is like another: what is lost, doubled or
    moved changes the digest."""

    def __init__(self, size, seed=1):
        self.size = size
        self._noise = random.Random(seed).randbytes(BLOCK - 8)
        self._seed = seed

    def __iter__(self):
        left, number = self.size, 0
        while left > 0:
            block = struct.pack("!II", self._seed, number) + self._noise
            yield block[:left]
            left -= len(block)
            number += 1

    def digest(self):
        digest = hashlib.sha256()
        for block in self:
            digest.update(block)
        return digest.hexdigest()

    def write(self, path):
        with open(path, "wb") as out:
            out.writelines(self)
        return path


def file_digest(path):
    with open(path, "rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


class Task(threading.Thread):
    """A function in a thread. result() waits and gives its value or its exception."""

    def __init__(self, function, *args):
        super().__init__(daemon=True)
        self._function, self._args = function, args
        self._value = self._error = None
        self.start()

    def run(self):
        try:
            self._value = self._function(*self._args)
        except BaseException as error:  # handed to whoever waits for the result
            self._error = error

    def result(self, timeout=60):
        timeout *= PATIENCE
        self.join(timeout)
        assert not self.is_alive(), f"still busy after {timeout:g} s: {self._function.__name__}"
        if self._error:
            raise self._error
        return self._value


def send_stream(sock, stream, shut=True):
    """All of a stream, then a FIN."""
    for block in stream:
        sock.sendall(block)
    if shut:
        sock.shutdown(socket.SHUT_WR)


def carry(sender, reader, size):
    """So many bytes cross, none changed."""
    stream, digest = Stream(size), hashlib.sha256()
    sending = Task(send_stream, sender, stream, False)
    while size:
        part = reader.recv(min(size, 1 << 20))
        assert part, f"closed with {size} bytes to come"
        digest.update(part)
        size -= len(part)
    sending.result()
    assert digest.hexdigest() == stream.digest()


class Knocker(threading.Thread):
    """Opens one connection after the other and remembers whether each was taken."""

    def __init__(self, net, gateway, family, port):
        super().__init__(daemon=True)
        self.net, self.gateway, self.family, self.port = net, gateway, family, port
        self.taken, self.failed, self.stopping = [], [], False
        self.listener = net.remote.listen(family, family.remote, port)

    def run(self):
        while not self.stopping:
            try:
                with contextlib.closing(self.net.client.connect(
                        self.family, self.family.remote, self.port, timeout=5)) as near:
                    far, peer = self.listener.accept()
                    with contextlib.closing(far):
                        far.settimeout(5)
                        echo(near, far)
                        self.taken.append(peer[0] == self.family.wan)
            except (OSError, AssertionError) as error:
                self.failed.append(error)
            time.sleep(0.01)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stopping = True
        self.join()
        self.listener.close()


def finished_remote_slow_client(net, family, port=5000):
    """A client that has said all and read nothing, and a remote that has answered
    and closed: all the rest is with the gateway. (client's socket, the answer)."""
    stream = Stream(96 << 10)
    near, far = net.connection(family, port, SO_RCVBUF=8192)
    near.shutdown(socket.SHUT_WR)
    assert far.recv(1) == b""
    send_stream(far, stream)
    far.close()
    return near, stream


def receive_digest(sock):
    """(bytes, sha256) of everything up to the peer's FIN."""
    digest, size = hashlib.sha256(), 0
    buffer = memoryview(bytearray(1 << 20))
    while count := sock.recv_into(buffer):
        digest.update(buffer[:count])
        size += count
    return size, digest.hexdigest()


def send_until_stuck(sock, blocks, stuck_for=1.0, most=math.inf):
    """Sends until the peer has taken nothing for stuck_for seconds (or most is
    reached); returns how much it took and what is left of the last block."""
    sent, block = 0, b""
    sock.setblocking(False)
    while sent < most and select.select([], [sock], [], stuck_for)[1]:
        if not block:
            block = next(blocks, b"")
            if not block:
                break
        with contextlib.suppress(BlockingIOError):
            count = sock.send(block)
            sent += count
            block = block[count:]
    sock.settimeout(60)
    return sent, block


class Server:
    """Serves every connection of a listener by handler(sock, peer), each in its thread."""

    def __init__(self, listener, handler):
        self.peers = []
        self.accepted = []
        self._listener, self._handler = listener, handler
        self._wake, self._stop = os.pipe()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        while True:
            ready, _, _ = select.select([self._listener, self._wake], [], [])
            if self._wake in ready:
                return
            sock, peer = self._listener.accept()
            sock.settimeout(60)
            self.peers.append(peer)
            self.accepted.append(sock)
            threading.Thread(target=self._handle, args=(sock, peer), daemon=True).start()

    def _handle(self, sock, peer):
        with contextlib.suppress(OSError), sock:  # the client's side is what tests look at
            self._handler(sock, peer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self._stop)
        self._thread.join()
        os.close(self._wake)
        self._listener.close()
        for sock in self.accepted:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


def echo_handler(sock, _peer):
    while part := sock.recv(1 << 16):
        sock.sendall(part)


def endless_handler(sock, _peer):
    block = bytes(BLOCK)
    while True:
        sock.sendall(block)


def parse_proxy_v2(sock):
    """(source address, port, destination address, port) from a PROXY v2 header."""
    def exactly(size):
        parts = b""
        while len(parts) < size:
            part = sock.recv(size - len(parts))
            assert part, f"closed after {len(parts)} of {size} bytes of a PROXY header"
            parts += part
        return parts

    head = exactly(16)
    assert head[:12] == b"\r\n\r\n\0\r\nQUIT\n", f"no PROXY v2 signature: {head!r}"
    assert head[12] == 0x21, f"version and command {head[12]:#x}, not 2 and PROXY"
    body = exactly(struct.unpack("!H", head[14:])[0])
    size = {0x11: 4, 0x21: 16}[head[13]]
    source, target = body[:size], body[size:2 * size]
    ports = struct.unpack("!HH", body[2 * size:2 * size + 4])
    return (str(ipaddress.ip_address(source)), ports[0],
            str(ipaddress.ip_address(target)), ports[1])


# ---- as a program: peer.py delay DEVICE SECONDS ----

def delay(device, seconds):
    """A TUN device that gives back what is routed to it, so many seconds later."""
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH14x", device.encode(), 0x1001))  # TUNSETIFF
    os.set_blocking(tun, False)
    os.spawnlp(os.P_WAIT, "ip", "ip", "link", "set", device, "up", "txqueuelen", "10000")
    print("ready", flush=True)
    held, number = [], 0
    while True:
        wait = max(0.0, held[0][0] - time.monotonic()) if held else None
        readable, _, _ = select.select([tun], [], [], wait)
        if readable:
            packet = os.read(tun, 65536)
            if seconds != math.inf:
                heapq.heappush(held, (time.monotonic() + seconds, number, packet))
                number += 1
        while held and held[0][0] <= time.monotonic():
            os.write(tun, heapq.heappop(held)[2])


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] != "delay":
        sys.exit("usage: peer.py delay DEVICE SECONDS")
    delay(sys.argv[2], float(sys.argv[3]))

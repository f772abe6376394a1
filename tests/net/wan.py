# SPDX-License-Identifier: GPL-2.0
"""
An emulated long way (build/tests/wanem, or the kernel's netem) between the wan
and the remote of a network, beside the short one, and transfers over it. The
remote's addresses at its far end are those of Far.
"""
import contextlib
import hashlib
import os
import socket
import time
from dataclasses import dataclass

import rig
from gateway import BUILD
from peer import Task

WANEM = os.path.join(BUILD, "tests", "wanem")
PAYLOAD, PACKET = 1448, 1500  # of a full segment over IPv4


@dataclass(frozen=True)
class Far:
    """The two ends of the long way in one address family."""

    near: str
    remote: str


FAR = {"IPv4": Far("10.8.0.1", "10.8.0.2"), "IPv6": Far("fd00:8::1", "fd00:8::2")}


@contextlib.contextmanager
def emulation(near, far, directory, *options, families=rig.FAMILIES):
    """wanem runs between two namespaces in the block, a device `far` in each; options are its."""
    addresses = [part for family in families for part in
                 ("--address-a", f"{FAR[family.name].near}/{family.bits}",
                  "--address-b", f"{FAR[family.name].remote}/{family.bits}")]
    ready, ready_end = os.pipe()
    try:
        process = rig.Process(
            [WANEM, "--netns-a", near.name, "--netns-b", far.name,
             "--device-a", "far", "--device-b", "far", *addresses,
             "--ready-fd", ready_end, *options],
            os.path.join(directory, f"wanem-{near.name}.log"), pass_fds=(ready_end,))
    finally:
        os.close(ready_end)
    try:
        with os.fdopen(ready) as pipe:
            assert pipe.readline() == "ready\n", process.output()
        yield process
    finally:
        process.end()


@contextlib.contextmanager
def long_way(net, *options):
    """The emulation runs in the block between wan and remote; options are wanem's."""
    with emulation(net.wan, net.remote, net.directory, *options) as process:
        _return_by_it(net)
        yield process


def _return_by_it(net):
    """What the remote answers takes the long way as well."""
    for family in rig.FAMILIES:
        near = FAR[family.name].near
        net.remote.ip(f"route add {family.net(family.wan)} via {near}",
                      f"route add {family.net(family.client)} via {near}", family=family)


@contextlib.contextmanager
def netem(near, far, senders, rate, rtt, loss, families=rig.FAMILIES):
    """
    The same link by netem in the block: bits a second, seconds, share of packets lost each
    way; the queue holds one bandwidth-delay product, as wanem's does unless told. Senders:
    (namespace, device) of all that send towards it, as netem loses what it is given as one,
    so they must not give it super-packets.
    """
    queue = 2 * max(int(rate * rtt / 8 / PACKET), 10)  # on the way, and waiting
    with contextlib.ExitStack() as stack:
        rig.Network.link(near, "far", far, "far")
        stack.callback(near.ip, "link del far")
        for namespace, end in (near, "near"), (far, "remote"):
            for family in families:
                address = family.with_bits(getattr(FAR[family.name], end))
                namespace.ip(f"address add dev far {address}")
            done = namespace.run("tc", "qdisc", "add", "dev", "far", "root", "netem",
                                 "delay", f"{rtt * 500:g}ms", "loss", f"{loss * 100:g}%",
                                 "rate", f"{rate:.0f}bit", "limit", queue, check=False)
            if done.returncode:
                raise rig.Unsupported(f"no netem ({done.stderr.strip()})")
        far.ip("link set far gso_max_segs 1")
        for namespace, device in senders:
            before = namespace.json("ip", "-j", "-d", "link", "show", device)[0]["gso_max_segs"]
            namespace.ip(f"link set {device} gso_max_segs 1")
            stack.callback(namespace.ip, f"link set {device} gso_max_segs {before}")
        yield


@contextlib.contextmanager
def netem_way(net, rate, rtt, loss):
    """netem's link between wan and remote in the block."""
    with netem(net.wan, net.remote, ((net.client, "eth0"), (net.gateway, "wan0")), rate, rtt,
               loss):
        _return_by_it(net)
        yield


def connection(net, family, port):
    """(the client's socket, the remote's) of a connection over the long way."""
    remote = FAR[family.name].remote
    with contextlib.closing(net.remote.listen(family, remote, port)) as listener:
        near = net.client.connect(family, remote, port, timeout=60)
        far, _ = listener.accept()
    net.remote.sockets.append(far)
    for sock in near, far:
        sock.settimeout(90)
    return near, far


def upload(net, family, port, content, algorithm=b"cubic"):
    """
    Sends content to a server that answers when it has read all of it, by the
    client's algorithm. Returns (seconds from the first SYN to the answer, SHA-256 of what arrived).
    """
    digest = hashlib.sha256()

    def serve(listener):
        sock, _ = listener.accept()
        net.remote.sockets.append(sock)
        sock.settimeout(90)
        buffer, left = memoryview(bytearray(1 << 20)), len(content)
        while left > 0 and (count := sock.recv_into(buffer)):
            digest.update(buffer[:count])
            left -= count
        sock.sendall(b"done")

    remote = FAR[family.name].remote
    with contextlib.closing(net.remote.listen(family, remote, port)) as listener:
        listener.settimeout(90)
        server = Task(serve, listener)
        start = time.monotonic()
        near = net.client.socket(family.af, socket.SOCK_STREAM, timeout=90)
        near.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, algorithm)
        near.connect((remote, port))
        near.sendall(content)
        assert rig.receive(near, 4) == b"done"
        seconds = time.monotonic() - start
        server.result()
    near.close()
    return seconds, digest.hexdigest()


def download(net, family, port, content, algorithm=b"cubic"):
    """
    Asks a server for content, which it sends by its own algorithm unless an agent
    tunes the port. Returns (seconds from the first SYN to the last byte, SHA-256 of it).
    """
    digest = hashlib.sha256()

    def serve(listener):
        sock, _ = listener.accept()
        net.remote.sockets.append(sock)
        sock.settimeout(90)
        assert rig.receive(sock, 4) == b"give"
        sock.sendall(content)

    remote = FAR[family.name].remote
    with contextlib.closing(net.remote.listen(family, remote, port)) as listener:
        listener.settimeout(90)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, algorithm)
        server = Task(serve, listener)
        start = time.monotonic()
        near = net.client.connect(family, remote, port, timeout=60)
        near.settimeout(90)
        near.sendall(b"give")
        buffer, left = memoryview(bytearray(1 << 20)), len(content)
        while left > 0 and (count := near.recv_into(buffer)):
            digest.update(buffer[:count])
            left -= count
        seconds = time.monotonic() - start
        server.result()
    near.close()
    return seconds, digest.hexdigest()


def least_seconds(size, bits_per_second, rtt):
    """The least that either can take: a round trip each to connect and to be answered, and
    the link full all the time with packets of which the headers are a part."""
    return 2 * rtt + size * PACKET / PAYLOAD * 8 / bits_per_second

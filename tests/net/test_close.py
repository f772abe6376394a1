# SPDX-License-Identifier: GPL-2.0
"""How connections end: every way a peer can end its side is what the other side sees."""
import itertools
import socket
import time

import pytest

from gateway import serve
from peer import Server, Stream, Task, file_digest, receive_digest, send_stream
from rig import (PATIENCE, SOCKET_TIMEOUT, Capture, echo, receive, receive_all, reset,
                 wait_for)

MIB = 1 << 20
pytestmark = [pytest.mark.engines, pytest.mark.intercepts]


# ---- half-close ----

@pytest.mark.smoke
def test_the_client_may_finish_first(net, gateway, family):
    gateway.start(serve(5000))
    with gateway.counting(joined=1, closed=1):
        near, far = net.connection(family, 5000)
        assert gateway.took(far, family)
        near.sendall(b"all I have to say")
        near.shutdown(socket.SHUT_WR)
        assert receive_all(far) == b"all I have to say"
        reply = Stream(8 * MIB)
        sending = Task(send_stream, far, reply)
        assert receive_digest(near) == (reply.size, reply.digest())
        sending.result()
        near.close()
        far.close()


def test_the_remote_may_finish_first(net, gateway, family):
    gateway.start(serve(5000))
    with gateway.counting(joined=1, closed=1):
        near, far = net.connection(family, 5000)
        assert gateway.took(far, family)
        far.sendall(b"all I have to say")
        far.shutdown(socket.SHUT_WR)
        assert receive_all(near) == b"all I have to say"
        reply = Stream(8 * MIB)
        sending = Task(send_stream, near, reply)
        assert receive_digest(far) == (reply.size, reply.digest())
        sending.result()
        near.close()
        far.close()


def test_a_flow_half_closed_says_so(net, gateway, family):
    gateway.start(serve(5000))
    near, far = net.connection(family, 5000)
    near.shutdown(socket.SHUT_WR)
    assert receive_all(far) == b""
    if not gateway.straight:
        wait_for(lambda: gateway.flow_of(near)["state"] == "up-closed", "state up-closed")
    far.sendall(b"still here")
    assert receive(near, 10) == b"still here"


def digest_handler(sock, _peer):
    """Answers, when it has seen the client's end, with the digest of what it got."""
    _, digest = receive_digest(sock)
    sock.sendall(digest.encode())


def test_ncat_sends_a_file_and_hears_its_digest(net, gateway, family, tmp_path):
    """ncat says that it has finished, and goes on listening."""
    gateway.start(serve(5000))
    content = Stream(20 * MIB).write(tmp_path / "content")
    with Server(net.remote.listen(family, family.remote, 5000), digest_handler), \
            gateway.counting(joined=1, closed=1), open(content, "rb") as stdin:
        done = net.client.run("ncat", family.remote, "5000", stdin=stdin)
    assert done.stdout == file_digest(content)


def test_ncat_as_a_server_finishes_first_and_still_hears(net, gateway, family, tmp_path):
    gateway.start(serve(5000))
    content = Stream(20 * MIB)
    content.write(tmp_path / "content")
    with open(tmp_path / "content", "rb") as stdin, open(tmp_path / "heard", "wb") as stdout:
        server = net.remote.spawn("ncat", "-l", family.remote, "5000", stdin=stdin,
                                  stdout=stdout)
    wait_for(lambda: net.remote.run("ss", "-Hltn", "sport = :5000").stdout, "ncat listens")
    with gateway.counting(joined=1, closed=1):
        near = net.client.connect(family, family.remote, 5000)
        assert receive_digest(near) == (content.size, content.digest())
        send_stream(near, content)
        near.close()
        assert server.wait() == 0
    assert file_digest(tmp_path / "heard") == content.digest()


# ---- resets ----

def assert_reset(sock):
    """The peer reset the connection; it did not end it in order."""
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        sock.settimeout(SOCKET_TIMEOUT)
        while sock.recv(1 << 20):
            pass
        pytest.fail("a clean end instead of a reset")


@pytest.mark.parametrize("side", ["client", "remote"])
def test_a_reset_arrives_as_a_reset(net, gateway, family, side):
    gateway.start(serve(5000))
    near, far = net.connection(family, 5000)
    assert gateway.took(far, family)
    echo(near, far)
    with gateway.counting(**{f"reset_by_{side}": 1}):
        reset(near if side == "client" else far)
        assert_reset(far if side == "client" else near)


@pytest.mark.parametrize("sender", ["client", "remote"])
@pytest.mark.parametrize("aborter", ["sender", "receiver"])
def test_an_abort_in_mid_transfer_arrives_as_a_reset(net, gateway, family, sender, aborter):
    """No truncated stream ever ends cleanly."""
    gateway.start(serve(5000))
    near, far = net.connection(family, 5000)
    assert gateway.took(far, family)
    out, into = (near, far) if sender == "client" else (far, near)
    if aborter == "sender":
        out.settimeout(3 * PATIENCE)  # so that the thread ends soon once nobody reads

    def flood():
        while True:
            out.sendall(bytes(MIB))

    flooding = Task(flood)
    receive(into, 16 * MIB)
    if aborter == "receiver":
        reset(into)
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            flooding.result()
    else:
        # the thread must not hold the socket open
        with pytest.raises(OSError):
            flooding.result()
        reset(out)
        assert_reset(into)


@pytest.mark.parametrize("side", ["client", "remote"])
def test_a_reset_after_a_half_close_arrives_as_a_reset(net, gateway, family, side):
    gateway.start(serve(5000))
    near, far = net.connection(family, 5000)
    first, second = (near, far) if side == "client" else (far, near)
    second.sendall(b"unfinished")
    assert receive(first, 10) == b"unfinished"
    first.shutdown(socket.SHUT_WR)
    assert receive_all(second) == b""
    reset(second)
    assert_reset(first)


def test_a_close_with_unread_data_is_a_reset(net, gateway, family):
    """As Linux does it: who closes without reading resets, and the sender learns of it."""
    gateway.start(serve(5000))
    near, far = net.connection(family, 5000)
    near.sendall(b"never read")
    far.recv(1)
    far.close()
    assert_reset(near)


# ---- the same port again ----

source_ports = itertools.count(40000)  # a port of its own for each test: some are kept for a minute


def close_in_order(first, second):
    """Both sides finish, and first keeps the connection in TIME_WAIT."""
    first.shutdown(socket.SHUT_WR)
    assert receive_all(second) == b""
    second.close()
    assert receive_all(first) == b""
    first.close()


def connect_and_close(net, listener, family, port, first):
    """A connection from a source port that first closes; whom the remote saw."""
    near = net.client.connect(family, family.remote, 5000, source=(family.client, port),
                              timeout=8)
    far, peer = listener.accept()
    far.settimeout(SOCKET_TIMEOUT)
    echo(near, far)
    close_in_order(*((near, far) if first == "client" else (far, near)))
    return peer


@pytest.mark.parametrize("source", ["gateway", "client"])
@pytest.mark.parametrize("first", ["client", "remote"])
def test_a_client_may_use_its_port_again(net, gateway, family, source, first):
    """Connections from one source port, one right after the other."""
    gateway.start(serve(5000, source=source))
    port = next(source_ports)
    with net.remote.listen(family, family.remote, 5000) as listener, gateway.counting(joined=4):
        for _ in range(4):
            connect_and_close(net, listener, family, port, first)


def test_a_client_may_use_its_port_again_without_timestamps(net, gateway, family):
    """The remote sees the client's address, and no timestamp tells new from old."""
    net.remote.sysctl(ipv4__tcp_timestamps=0)
    try:
        gateway.start(serve(5000, source="client"))
        port = next(source_ports)
        with net.remote.listen(family, family.remote, 5000) as listener, \
                gateway.counting(joined=3):
            for _ in range(3):
                connect_and_close(net, listener, family, port, "client")
                time.sleep(0.1)  # a sequence number that is higher than the last one's
    finally:
        net.remote.sysctl(ipv4__tcp_timestamps=1)


@pytest.mark.stealing
@pytest.mark.parametrize("first", ["client", "remote"])
@pytest.mark.parametrize("how", ["stopped", "entry-removed"])
def test_a_client_may_use_its_port_again_when_it_is_not_taken(net, gateway, family, first, how):
    """What the gateway remembers of a flow that ended is not in the way of forwarding."""
    gateway.start(serve(5000))
    port = next(source_ports)
    with net.remote.listen(family, family.remote, 5000) as listener:
        assert connect_and_close(net, listener, family, port, first)[0] == family.wan
        if how == "stopped":
            gateway.expect_exit = True
            assert gateway.stop() == 0
        else:
            gateway.sluice("del", family.remote)
        assert connect_and_close(net, listener, family, port, first)[0] == family.client


# ---- what else a connection can say ----

def test_urgent_data_arrives_inline(net, gateway, family):
    gateway.start(serve(5000))
    near, far = net.connection(family, 5000)
    for sock in near, far:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
    for sender, reader in (near, far), (far, near):
        sender.sendall(b"before")
        sender.send(b"!", socket.MSG_OOB)
        sender.sendall(b"after")
        assert receive(reader, 12) == b"before!after"
    assert gateway.took(far, family)


def test_urgent_data_right_before_the_end_do_not_cut_the_stream(net, gateway, family):
    """What comes with the FIN, and before anybody was told of the urgent byte."""
    gateway.start(serve(5000))
    with net.remote.listen(family, family.remote, 5000) as listener:
        for _ in range(50):
            near = net.client.connect(family, family.remote, 5000)
            far, _ = listener.accept()
            far.settimeout(SOCKET_TIMEOUT)
            far.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
            near.sendall(b"before")
            near.send(b"!", socket.MSG_OOB)
            near.sendall(b"after")
            near.shutdown(socket.SHUT_WR)
            assert receive_all(far) == b"before!after"
            far.close()
            near.close()


@pytest.mark.stealing
def test_the_idle_timeout_resets_both_sides(net, gateway, family):
    gateway.start(serve(5000, idle_timeout="1s"))
    with gateway.counting(idle=1):
        near, far = net.connection(family, 5000)
        echo(near, far)
        assert_reset(near)
        assert_reset(far)


@pytest.mark.stealing
def test_a_peer_that_never_takes_the_rest_is_idle(net, gateway, family):
    """Both have finished, but the client never reads what the gateway has for it."""
    gateway.start(serve(5000, idle_timeout="2s"))
    near, far = net.connection(family, 5000, SO_RCVBUF=4096)
    with gateway.counting(idle=1):
        far.sendall(bytes(20000))
        far.shutdown(socket.SHUT_WR)
        near.shutdown(socket.SHUT_WR)
        assert receive_all(far) == b""
        wait_for(lambda: not gateway.flows(), "the flow ends")


@pytest.mark.stealing
def test_a_flow_that_speaks_now_and_then_is_not_idle(net, gateway, family):
    gateway.start(serve(5000, idle_timeout="2s"))
    near, far = net.connection(family, 5000)
    for _ in range(6):
        echo(near, far)
        time.sleep(0.5)  # what is tested: shorter silences than the time-out
    assert gateway.counters()["idle"] == 0


@pytest.mark.stealing
def test_keepalive_is_set_on_both_legs(net, gateway, family):
    gateway.start(serve(5000, keepalive="7s"))
    near, far = net.connection(family, 5000)
    echo(near, far)

    def kept_alive():
        lines = [line for line in net.gateway.tcp("state", "established")
                 if ":5000 " in line or f":{near.getsockname()[1]} " in line]
        return len(lines) == 2 and all("timer:(keepalive," in line for line in lines)

    wait_for(kept_alive, "keepalive timers on both legs")


@pytest.mark.stealing
def test_the_remote_is_not_sent_an_end_the_client_did_not_send(net, gateway, family):
    """While nobody closes, no FIN passes either leg."""
    gateway.start(serve(5000))
    capture = Capture(net.gateway, "lan0", "wan0")
    near, far = net.connection(family, 5000)
    for _ in range(20):
        echo(near, far)
    assert not capture.segments(lambda s: s.flags & 5)

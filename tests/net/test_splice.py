# SPDX-License-Identifier: GPL-2.0
"""
Who carries the bytes is nobody's business: with either engine every byte arrives
once and in its place, ends arrive as ends and resets as resets, and what a
reader does not take is not taken from the sender without bound.
"""
import hashlib
import os
import random
import signal
import socket
import time

import pytest

import stress
from gateway import serve
from peer import (Server, Stream, Task, carry, echo_handler, receive_digest, send_stream,
                  send_until_stuck)
from rig import (FAMILIES, GREETING, SOCKET_TIMEOUT, Capture, Unsupported, echo, receive,
                 receive_all, reset, send_segment, socket_bytes, wait_for)
from test_close import assert_reset

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
SO_SNDBUFFORCE = 32
STRESS_SECONDS = float(os.environ.get("SLUICE_STRESS_SECONDS", "20"))
pytestmark = pytest.mark.engines


def sides(near, far, sender):
    """(who sends, who reads)"""
    return (near, far) if sender == "client" else (far, near)


def by_kernel(gateway):
    """Whether every flow of this test is to be carried by the kernel."""
    return gateway.engine == "kernel" and not gateway.straight


def start_with_kernel(gateway, *sections, **settings):
    """Starts a daemon that has the kernel engine, or skips the test."""
    gateway.start(*sections, **settings)
    status = gateway.show("status")["kernel_engine"]
    if not status["offered"]:
        raise Unsupported(f"no kernel engine: {status['why']}")


# ---- speeds ----

@pytest.mark.parametrize("sender", ["client", "remote"])
def test_a_slow_reader_of_a_fast_sender_gets_all(net, gateway, family, sender):
    gateway.start(serve(5000))
    out, into = sides(*net.connection(family, 5000), sender)
    stream, digest = Stream(48 * MIB), hashlib.sha256()
    sending = Task(send_stream, out, stream)
    while part := into.recv(256 * KIB):
        digest.update(part)
        time.sleep(0.002)  # what is tested: slower than the sender
    assert digest.hexdigest() == stream.digest()
    sending.result()


@pytest.mark.parametrize("sender", ["client", "remote"])
def test_a_fast_reader_of_a_slow_sender_gets_all(net, gateway, family, sender):
    gateway.start(serve(5000))
    out, into = sides(*net.connection(family, 5000), sender)
    stream = Stream(300 * 1000)

    def trickle():
        for block in stream:
            for place in range(0, len(block), 1000):
                out.sendall(block[place:place + 1000])
                time.sleep(0.001)  # what is tested: slower than the reader
        out.shutdown(socket.SHUT_WR)

    sending = Task(trickle)
    assert receive_digest(into) == (stream.size, stream.digest())
    sending.result()


@pytest.mark.parametrize("sender", ["client", "remote"])
def test_bytes_sent_one_by_one_stay_in_order(net, gateway, family, sender):
    gateway.start(serve(5000))
    out, into = sides(*net.connection(family, 5000), sender)
    out.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    said = random.Random(1).randbytes(20000)

    def one_by_one():
        for place in range(len(said)):
            out.send(said[place:place + 1])
        out.shutdown(socket.SHUT_WR)

    sending = Task(one_by_one)
    assert receive_all(into) == said
    sending.result()


def test_questions_and_answers_of_all_sizes(net, gateway, family):
    gateway.start(serve(5000))
    near, far = net.connection(family, 5000)
    rng = random.Random(2)
    for _ in range(2000):
        echo(near, far, rng.randbytes(rng.choice((1, 64, 1448, 1449, 4096, 70000))))


@pytest.mark.timeout_seconds(240)
def test_a_gigabyte_each_way_at_once(net, gateway, family):
    gateway.start(serve(5000))
    near, far = net.connection(family, 5000)
    up, down = Stream(GIB, seed=5), Stream(GIB, seed=6)
    tasks = [Task(send_stream, near, up), Task(send_stream, far, down)]
    there, here = Task(receive_digest, far), Task(receive_digest, near)
    assert there.result(200) == (up.size, up.digest())
    assert here.result(200) == (down.size, down.digest())
    for task in tasks:
        task.result()


@pytest.mark.parametrize("sender", ["client", "remote"])
def test_bytes_that_come_twice_are_carried_once(net, gateway, family, sender):
    """TCP queues a segment whole of which only the end is new, as one that is sent
    again in another cut; what the reader gets must be the stream."""
    gateway.start(serve(5000))
    near, far = net.connection(family, 5000)
    out, into = sides(near, far, sender)
    host = net.client if sender == "client" else net.remote
    echo(near, far)  # joined, and carried by the engine that the test is of
    capture = Capture(host, "eth0")
    out.sendall(b"a" * 5000)
    assert receive(into, 5000) == b"a" * 5000
    sent = capture.segments(lambda s: s.outgoing and s.source_port == out.getsockname()[1])
    end = min(s.sequence for s in sent) + 5000
    send_segment(host, family, sent[-1], end - 300, b"a" * 300 + b"b" * 50)
    assert receive(into, 50) == b"b" * 50
    out.sendall(b"b" * 50 + b"c" * 70)  # what it has never sent itself, then more
    assert receive(into, 70) == b"c" * 70
    echo(near, far)
    out.shutdown(socket.SHUT_WR)
    assert receive_all(into) == b""
    into.close()


def test_500_flows_at_once(net, gateway, family):
    gateway.start(serve(5000))
    stream = Stream(100 * KIB)
    with Server(net.remote.listen(family, family.remote, 5000), echo_handler), \
            gateway.counting(joined=500):
        socks = [net.client.connect(family, family.remote, 5000) for _ in range(500)]
        for sock in socks:
            sock.settimeout(60)
            for block in stream:
                sock.sendall(block)
            sock.shutdown(socket.SHUT_WR)
        assert {receive_digest(sock) for sock in socks} == {(stream.size, stream.digest())}


# ---- ends, with bytes under way ----

def stuck(out, stream):
    """The sender has been stopped by a reader that reads nothing: the blocks to come."""
    blocks = iter(stream)
    _, rest = send_until_stuck(out, blocks, stuck_for=0.5, most=stream.size)
    return rest, blocks


@pytest.mark.parametrize("sender", ["client", "remote"])
def test_an_end_behind_a_backlog_comes_after_it(net, gateway, family, sender):
    """Half-close: the reader has read nothing when the sender has finished, and
    answers when it has read all."""
    gateway.start(serve(5000))
    with gateway.counting(joined=1, closed=1):
        near, far = net.connection(family, 5000)
        out, into = sides(near, far, sender)
        stream, reply = Stream(3 * MIB), Stream(3 * MIB, seed=3)
        out.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 8 * MIB)  # so that it can finish
        send_stream(out, stream)
        sending = Task(send_stream, into, reply)
        assert receive(out, 1)
        assert receive_digest(into) == (stream.size, stream.digest())
        rest = receive_all(out)  # not all of it need fit into buffers on the way
        sending.result()
        assert len(rest) == reply.size - 1
        near.close()
        far.close()


@pytest.mark.parametrize("side", ["client", "remote"])
@pytest.mark.parametrize("resetter", ["sender", "reader"])
def test_a_reset_with_a_backlog_is_a_reset(net, gateway, family, side, resetter):
    gateway.start(serve(5000))
    near, far = net.connection(family, 5000)
    out, into = sides(near, far, side)
    stuck(out, Stream(200 * MIB))
    first, second = (out, into) if resetter == "sender" else (into, out)
    who = "client" if first is near else "remote"
    with gateway.counting(**{f"reset_by_{who}": 1}):
        reset(first)
        assert_reset(second)


@pytest.mark.stealing
@pytest.mark.parametrize("side", ["client", "remote"])
def test_a_killed_relay_resets_both_sides(net, gateway, family, side):
    """With a backlog the stream is cut, and must not look as if it had ended there."""
    gateway.start(serve(5000), workers=1)
    near, far = net.connection(family, 5000)
    out, into = sides(near, far, side)
    stuck(out, Stream(200 * MIB))
    os.kill(gateway.relays()[0], signal.SIGKILL)
    assert_reset(into)
    assert_reset(out)


@pytest.mark.timeout_seconds(180)
def test_what_flows_do_at_random(net, gateway):
    """64 flows; sizes, pauses, half-closes and resets by chance; every byte checked.
    SLUICE_STRESS_SECONDS says for how long; the splice engine gets a quarter."""
    gateway.start(serve(5000))
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    listeners = {f: net.remote.listen(f, f.remote, 5000) for f in FAMILIES}
    families = random.Random(seed)

    def connect():
        family = families.choice(FAMILIES)
        near = net.client.connect(family, family.remote, 5000)
        far, _ = listeners[family].accept()
        return near, far

    seconds = STRESS_SECONDS if by_kernel(gateway) else STRESS_SECONDS / 4
    ended = stress.run(connect, 64, seconds, seed)
    assert ended["closed"] and ended["reset"], ended
    print(ended)
    if not gateway.straight:
        wait_for(lambda: not gateway.flows(), "all flows end")
        counters = gateway.counters()
        assert counters["failed"] == counters["idle"] == 0, counters
        offered = gateway.show("status")["kernel_engine"]["offered"]
        assert bool(counters["bytes_kernel"]) == (by_kernel(gateway) and offered)


# ---- how much the gateway holds ----

def tcp_limit(namespace, which):
    """What a socket's buffer can grow to."""
    with namespace.entered(), open(f"/proc/sys/net/ipv4/tcp_{which}") as limits:
        return int(limits.read().split()[-1])


@pytest.mark.stealing
@pytest.mark.parametrize("sender", ["client", "remote"])
def test_a_reader_that_stops_costs_no_more_than_its_budget(net, gateway, family, sender):
    """window is the budget; what the gateway holds is that, both buffers of it and
    the receive buffer, and it says so."""
    gateway.start(serve(5000, window="2MiB"))
    near, far = net.connection(family, 5000)
    out, into = sides(near, far, sender)
    stream = Stream(256 * MIB)
    blocks = iter(stream)
    sent, rest = send_until_stuck(out, blocks, stuck_for=3, most=stream.size)
    flow = gateway.flow_of(near)
    backlog = flow["up" if sender == "client" else "down"]["backlog"]
    received, queued = tcp_limit(net.gateway, "rmem"), tcp_limit(net.gateway, "wmem")
    held = 4 * MIB + received  # twice the budget to send, and a receive buffer
    assert sent <= held + received + queued, f"{sent >> 10} KiB were taken"
    assert 0 < backlog <= held, f"a backlog of {backlog >> 10} KiB"
    assert socket_bytes(net.gateway) <= 2 * held

    def send_rest():
        out.sendall(rest)
        for block in blocks:
            out.sendall(block)
        out.shutdown(socket.SHUT_WR)

    sending = Task(send_rest)
    assert receive_digest(into) == (stream.size, stream.digest())
    sending.result()


def kernel_memory():
    """Memory that the kernel itself holds, of the whole machine."""
    with open("/proc/meminfo") as meminfo:
        sizes = {line.split(":")[0]: int(line.split()[1]) << 10 for line in meminfo}
    return sizes["SUnreclaim"]


@pytest.mark.stealing
def test_short_segments_cost_no_more_than_long_ones(net, gateway, family):
    """The kernel needs a kilobyte for a segment of one byte."""
    gateway.start(serve(5000, window="1MiB"))
    near, far = net.connection(family, 5000, SO_SNDBUF=4 * MIB)
    near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    before = kernel_memory()
    near.settimeout(0.5)
    sent = 0
    said = random.Random(3).randbytes(400000)
    try:
        while sent < len(said):
            sent += near.send(said[sent:sent + 1])
    except TimeoutError:
        pass
    held = kernel_memory() - before
    assert held < 150 * MIB, f"{held >> 20} MiB for {sent} bytes"
    near.settimeout(SOCKET_TIMEOUT)
    near.shutdown(socket.SHUT_WR)
    assert receive_all(far) == said[:sent]


# ---- the kernel carries ----

def only(engine):
    """For tests that are about one engine: run once, and not with --straight."""
    def mark(test):
        return pytest.mark.stealing(pytest.mark.engines(engine)(test))
    return mark


only_kernel, only_auto = only("kernel"), only("auto")


@pytest.fixture
def kernel(gateway):
    if not by_kernel(gateway):
        pytest.skip("about the kernel engine alone")
    return gateway


def carried(gateway, near, direction="up"):
    return gateway.flow_of(near)[direction]


@only_kernel
def test_the_kernel_carries_while_the_relay_is_stopped(net, kernel):
    """As long as the sink keeps up nothing needs the relay."""
    start_with_kernel(kernel, serve(5000), workers=1)
    pairs = [net.connection(family, 5000) for family in FAMILIES]
    for near, far in pairs:
        echo(near, far)
        wait_for(lambda n=near: kernel.flow_of(n)["engine"] == "kernel", "the kernel has it")
    relay = kernel.relays()[0]
    os.kill(relay, signal.SIGSTOP)
    try:
        end, number = time.monotonic() + 10, 0
        while time.monotonic() < end:
            for near, far in pairs:
                echo(near, far, b"%d " % number * 2000)
            number += 1
    finally:
        os.kill(relay, signal.SIGCONT)
    for near, far in pairs:
        near.shutdown(socket.SHUT_WR)
        assert receive_all(far) == b""
        up = carried(kernel, near)
        assert up["bytes"] > 1000 * number
        assert up["kernel_bytes"] >= up["bytes"] * 0.9, up


@only_kernel
@pytest.mark.parametrize("sender", ["client", "remote"])
def test_what_the_kernel_hands_over_it_takes_back(net, kernel, family, sender):
    """A reader that stops hands the flow to the relay; once it has caught up the
    kernel carries again."""
    start_with_kernel(kernel, serve(5000, window="1MiB"))
    near, far = net.connection(family, 5000)
    out, into = sides(near, far, sender)
    direction = "up" if sender == "client" else "down"
    for _ in range(3):
        stream = Stream(64 * MIB)
        rest, blocks = stuck(out, stream)
        assert kernel.flow_of(near)["engine"] == "relay"

        def send_rest():
            out.sendall(rest)
            for block in blocks:
                out.sendall(block)

        sending = Task(send_rest)
        digest, left = hashlib.sha256(), stream.size
        while left:
            part = into.recv(min(left, MIB))
            assert part
            digest.update(part)
            left -= len(part)
        sending.result()
        assert digest.hexdigest() == stream.digest()
        wait_for(lambda: kernel.flow_of(near)["engine"] == "kernel", "the kernel has it again")
        before = carried(kernel, near, direction)
        echo(near, far)
        after = carried(kernel, near, direction)
        assert after["relay_bytes"] == before["relay_bytes"]
        assert after["kernel_bytes"] > before["kernel_bytes"]


@only_kernel
def test_bytes_of_the_kernel_keep_a_flow_from_being_idle(net, kernel, family):
    start_with_kernel(kernel, serve(5000, idle_timeout="2s"))
    near, far = net.connection(family, 5000)
    for _ in range(6):
        echo(near, far)
        time.sleep(0.5)  # what is tested: shorter silences than the time-out
    up = carried(kernel, near)
    assert up["kernel_bytes"] > 0 and up["bytes"] == 6 * len(GREETING)
    assert kernel.counters()["idle"] == 0
    with kernel.counting(idle=1):
        assert_reset(near)


@only_kernel
def test_an_idle_flow_of_the_kernel_is_two_descriptors(net, kernel, family):
    start_with_kernel(kernel, serve(5000), workers=1)
    relay = kernel.relays()[0]
    before = len(os.listdir(f"/proc/{relay}/fd"))
    pairs = [net.connection(family, 5000) for _ in range(50)]
    for near, far in pairs:
        echo(near, far)
    assert len(os.listdir(f"/proc/{relay}/fd")) == before + 100


@only_kernel
def test_a_kernel_that_fails_the_test_is_not_relied_on(net, kernel, family, monkeypatch):
    monkeypatch.setenv("SLUICE_SELF_TEST", "fail")
    kernel.start(serve(5000))
    status = kernel.show("status")["kernel_engine"]
    assert status == {"offered": False, "why": "SLUICE_SELF_TEST=fail is set"}
    assert "SLUICE_SELF_TEST" in kernel.output()
    near, far = net.connection(family, 5000)
    carry(near, far, 4 * MIB)
    carry(far, near, 4 * MIB)
    assert kernel.flow_of(near)["engine"] == "splice"
    near.shutdown(socket.SHUT_WR)
    far.shutdown(socket.SHUT_WR)
    assert receive_all(far) == receive_all(near) == b""


@only_kernel
def test_status_says_whether_the_kernel_can(net, kernel):
    start_with_kernel(kernel, serve(5000))
    status = kernel.show("status")
    assert status["engine"] == "kernel"
    assert status["kernel_engine"]["offered"] is True
    assert status["kernel_engine"]["why"].startswith("self-test passed")
    assert "kernel engine: offered" in kernel.sluice("show", "status").stdout


@only_auto
def test_a_port_may_have_an_engine_of_its_own(net, gateway, family):
    """Whatever the gateway's is."""
    start_with_kernel(gateway, serve(5000, engine="kernel"))
    near, far = net.connection(family, 5000)
    echo(near, far)
    assert gateway.flow_of(near)["engine"] == "kernel"
    gateway.sluice("add", family.remote, "5001", "engine=splice")
    near, far = net.connection(family, 5001)
    echo(near, far)
    assert gateway.flow_of(near)["engine"] == "splice"


# ---- auto ----

@pytest.fixture
def auto(gateway):
    gateway.engine = "auto"
    return gateway


def talk(sock, seed, seconds):
    """Says short things at any moment, without waiting for answers."""
    rng = random.Random(seed)
    digest, size = hashlib.sha256(), 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        part = rng.randbytes(rng.randint(1, 2000))
        sock.sendall(part)
        digest.update(part)
        size += len(part)
        time.sleep(rng.random() * 0.002)  # what is tested: quiet moments
    return digest, size


@only_auto
def test_flows_change_engines_while_they_talk(net, auto, family):
    """Both sides talk all the time, so that bytes come at any moment of the change."""
    start_with_kernel(auto, serve(5000))
    changed = 0
    for number in range(10):
        near, far = net.connection(family, 5000)
        talks = [Task(talk, sock, number, 0.5) for sock in (near, far)]
        heard = [Task(receive_digest, sock) for sock in (far, near)]
        said = [task.result() for task in talks]
        changed += auto.flow_of(near)["engine"] == "kernel"
        load = Stream(4 * MIB, seed=number)
        for (digest, _), sock in zip(said, (near, far)):
            for block in load:
                digest.update(block)
        tasks = [Task(send_stream, sock, load) for sock in (near, far)]
        assert [task.result() for task in heard] == \
            [(size + load.size, digest.hexdigest()) for digest, size in said]
        for task in tasks:
            task.result()
    assert changed, "no flow changed its engine"


@only_auto
def test_a_transfer_stays_on_the_splice_engine(net, auto, family):
    start_with_kernel(auto, serve(5000))
    near, far = net.connection(family, 5000)
    carry(near, far, 64 * MIB)
    assert auto.flow_of(near)["engine"] == "splice"


@only_auto
def test_a_flow_that_says_nothing_is_given_to_the_kernel(net, auto, family):
    start_with_kernel(auto, serve(5000))
    near, far = net.connection(family, 5000)
    echo(near, far)
    wait_for(lambda: auto.flow_of(near)["engine"] == "kernel", "the kernel has it", 60)
    echo(near, far)
    assert auto.flow_of(near)["up"]["kernel_bytes"] == len(GREETING)

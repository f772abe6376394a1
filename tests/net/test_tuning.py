# SPDX-License-Identifier: GPL-2.0
"""
Every parameter changes what it says it changes, at the gateway and, asked for by
an agent, at the remote as well; and linkrate does what a reserved link asks for.
Figures are printed, speed is never a condition.
"""
import contextlib
import hashlib
import math
import os
import re
import socket
import threading
import time

import pytest

import wan
from agent import Agent, announce, policy, registrar, service
from gateway import serve
from peer import Task
from rig import (FAMILIES, Capture, Unsupported, echo, linkrate_known, new_kernel, receive,
                 wait_for)
from test_params import skmem, wan_leg

pytestmark = pytest.mark.stealing

MIB = 1 << 20
PORT = 5000
LINK = {"rate": "100mbit", "rtt": "100ms"}  # 1.25 MB in flight


def ss_number(line, name):
    """The number after NAME: in a line of ss(8)."""
    return int(re.search(rf"\b{name}:(\d+)", line)[1])


def pacing(line):
    """Bits a second of a line of ss(8)."""
    return int(re.search(r"pacing_rate (\d+)bps", line)[1])


def remote_leg(net, family, port=PORT):
    """What ss(8) says of the remote's socket."""
    lines = [line for line in net.remote.tcp("state", "established", "sport", f"= :{port}")]
    assert len(lines) == 1, lines
    return lines[0]


def flight(line, bits=100_000_000, seconds=0.1):
    """Segments of a socket that carry rate x rtt."""
    return math.ceil(bits / 8 * seconds / ss_number(line, "mss"))


# ---- the gateway's socket ----

@pytest.mark.parametrize("algorithm", ["cubic", "bbr"])
def test_skip_slow_start_begins_with_rate_times_rtt(net, gateway, family, algorithm):
    gateway.start(serve(PORT, skip_slow_start=True, flow_control=algorithm, **LINK))
    near, far = net.connection(family, PORT)
    line = wan_leg(net, family)
    assert ss_number(line, "cwnd") == flight(line)
    echo(near, far)
    assert pacing(wan_leg(net, family)) <= 100_000_000


def test_without_skip_slow_start_the_kernel_begins_as_ever(net, gateway, family):
    gateway.start(serve(PORT, flow_control="cubic", **LINK))
    net.connection(family, PORT)
    assert ss_number(wan_leg(net, family), "cwnd") == 10


def test_a_small_first_flight_is_never_below_the_kernels(net, gateway, family):
    gateway.start(serve(PORT, skip_slow_start=True, flow_control="cubic", rate="1mbit",
                        rtt="1ms"))
    net.connection(family, PORT)
    assert ss_number(wan_leg(net, family), "cwnd") == 10


@pytest.mark.parametrize("qos, params, dscp", [
    ("cbr", {"rate": "50mbit"}, 46),
    ("vbr", {"sustained": "20mbit", "peak": "50mbit"}, 34),
    ("abr", {"minimum": "50mbit", "peak": "50mbit"}, 18),
])
def test_a_class_is_a_mark_linkrate_and_its_rate(net, gateway, family, qos, params, dscp):
    gateway.start(serve(PORT, qos=qos, **params))
    capture = Capture(net.remote, "eth0")
    near, far = net.connection(family, PORT)
    echo(near, far)
    sent = capture.segments(lambda s: not s.outgoing and s.target_port == PORT)
    assert {s.dscp for s in sent} == {dscp}
    leg = gateway.flow_of(near)["wan"]
    assert leg["cc"] == "linkrate"
    # of 50 Mbit/s of packets, the payload
    assert 45_000_000 < leg["pacing_bps"] < 50_000_000


def test_a_class_with_another_flow_control_keeps_mark_and_pacing(net, gateway, family):
    gateway.start(serve(PORT, qos="vbr", sustained="20mbit", peak="50mbit", flow_control="reno"))
    capture = Capture(net.remote, "eth0")
    near, far = net.connection(family, PORT)
    echo(near, far)
    sent = capture.segments(lambda s: not s.outgoing and s.target_port == PORT)
    assert {s.dscp for s in sent} == {34}
    line = wan_leg(net, family)
    assert "reno" in line.split()
    assert pacing(line) <= 50_000_000


def test_linkrate_has_rate_times_rtt_in_its_window(net, gateway, family):
    """The RTT measured, not the one told; skip-slow-start only moves it forward."""
    gateway.start(serve(PORT, flow_control="linkrate", rate="100mbit"))
    with net.slow(there=0.05, back=0.05):
        near, far = net.connection(family, PORT)
        assert ss_number(wan_leg(net, family), "cwnd") == 10
        echo(near, far)
        line = wan_leg(net, family)
        assert flight(line) <= ss_number(line, "cwnd") <= 3 * flight(line)
        assert 90_000_000 < pacing(line) < 100_000_000


def test_linkrate_with_skip_slow_start_does_not_wait(net, gateway, family):
    gateway.start(serve(PORT, flow_control="linkrate", skip_slow_start=True, **LINK))
    with net.slow(there=0.05, back=0.05):
        net.connection(family, PORT)
        line = wan_leg(net, family)
        assert flight(line) <= ss_number(line, "cwnd") <= 3 * flight(line)


def test_only_our_sockets_are_tuned(net, gateway, family):
    gateway.start(serve(PORT, skip_slow_start=True, flow_control="cubic", **LINK))
    with net.remote.listen(family, family.remote, PORT):
        net.gateway.connect(family, family.remote, PORT)
        assert ss_number(wan_leg(net, family), "cwnd") == 10


@pytest.mark.parametrize("wrong, why", [
    ({"parallel": 2, "source": "client"}, "parallel with source = client"),
    ({"flow_control": "linkrate"}, "linkrate without rate"),
    ({"skip_slow_start": True, "rate": "1mbit"}, "skip-slow-start without rtt"),
])
def test_what_cannot_be_is_refused_in_words(net, gateway, wrong, why):
    gateway.configure(serve(PORT, **wrong))
    gateway.expect_exit = True
    done = gateway.try_start()
    assert done.returncode == 1
    assert why in done.stderr


# ---- both ends, by the remote's agent ----

@pytest.fixture
def asked(net, gateway, family):
    """asked(port, **params): an agent of the remote asks for them, on the short way or, at
    an address there, on the long one. A gateway serves what it registers; gives the agent."""
    def ask(port=PORT, address=None, **params):
        if not gateway.process:
            gateway.start(registrar(lease=12), policy(gateway, addresses=[
                one for each in FAMILIES for one in (each.remote, wan.FAR[each.name].remote)]))
        return announce(gateway, family, port, address=address, **params)
    return ask


def crossed(net, gateway, family, port=PORT):
    """A flow that has carried bytes both ways: its client's socket, and what ss(8) says
    of the WAN leg's socket at the gateway and of the one at the remote."""
    near, far = net.connection(family, port)
    assert gateway.took(far, family)
    echo(near, far)
    return near, wan_leg(net, family, port), remote_leg(net, family, port)


@pytest.mark.parametrize("algorithm", ["reno", "cubic", "bbr"])
def test_both_ends_run_the_algorithm_that_the_agent_named(net, gateway, family, asked, algorithm):
    asked(flow_control=algorithm)
    near, here, there = crossed(net, gateway, family)
    assert algorithm in here.split() and algorithm in there.split()
    assert gateway.flow_of(near)["wan"]["cc"] == algorithm


@pytest.mark.parametrize("algorithm", ["cubic", "bbr"])
def test_both_ends_skip_slow_start(net, gateway, family, asked, algorithm):
    """Before a byte was sent, as the first acknowledgement changes it."""
    asked(flow_control=algorithm, skip_slow_start=True, **LINK)
    net.connection(family, PORT)
    for line in wan_leg(net, family), remote_leg(net, family):
        assert ss_number(line, "cwnd") == flight(line)


def seconds_of(text):
    """A time as `sluice show params` writes it ("100.51ms", "100512us"), None if there is none."""
    if text == "0":
        return None
    number, unit = re.fullmatch(r"(\d+(?:\.\d+)?)(us|ms|s)", text).groups()
    return float(number) / {"us": 1e6, "ms": 1e3, "s": 1}[unit]


def far_legs(net, family):
    """What ss(8) says of the sockets of the one WAN leg over the long way: the gateway's
    and the remote's."""
    remote = family.host(wan.FAR[family.name].remote)
    lines = [line for way, where in ((net.gateway, ("dst", remote)), (net.remote, ("src", remote)))
             for line in way.tcp("state", "established", *where) if f":{PORT} " in line]
    assert len(lines) == 2, lines
    return lines


def measured_rtt(gateway):
    """The one port's round trip in s, None while the gateway has not measured any."""
    port, = gateway.show("ports")["ports"]
    values, = (one["values"] for one in gateway.show("params")["params"]
               if one["id"] == port["params"])
    return seconds_of(values["rtt"])


def measured(net, gateway, family, asked, **params):
    """An agent at the far end of 100 ms gives no rtt: (the round trip that the gateway reckons
    with in s, both ends' lines of a new connection, and those once it has carried bytes)."""
    with wan.long_way(net, "--delay", "50ms"):
        agent = asked(address=wan.FAR[family.name].remote, **params)
        if "rate" in params:
            agent.says("tuned for a round trip of ")
        rtt = wait_for(lambda: measured_rtt(gateway), "the round trip is measured")
        near, far = wan.connection(net, family, PORT)
        assert gateway.took(far, family)
        new = far_legs(net, family)
        echo(near, far)
        used = far_legs(net, family)
        near.close()
        far.close()
        agent.stop()
    return rtt, new, used


def test_both_ends_have_the_round_trip_that_was_measured(net, gateway, family, asked):
    """rate and skip-slow-start without rtt: the first flight and the buffers of both."""
    rtt, new, used = measured(net, gateway, family, asked, rate="100mbit", skip_slow_start=True,
                              flow_control="cubic")
    assert rtt >= 0.1
    for line in new:
        assert abs(ss_number(line, "cwnd") - flight(line, seconds=rtt)) <= 1, line
    assert_buffers(net, used, 2 * 100e6 / 8 * rtt)


def test_a_rate_alone_gives_both_ends_buffers_and_pacing(net, gateway, family, asked):
    rtt, new, used = measured(net, gateway, family, asked, rate="100mbit", flow_control="cubic")
    assert rtt >= 0.1
    for line in new:
        assert ss_number(line, "cwnd") == 10
    for line in used:
        assert pacing(line) <= 100_000_000
    assert_buffers(net, used, 2 * 100e6 / 8 * rtt)


def test_without_a_rate_the_kernel_decides_however_long_the_way(net, gateway, family, asked):
    """What the registering connection delivers is no measure of the link: it is never used."""
    rtt, new, _ = measured(net, gateway, family, asked, flow_control="cubic")
    assert rtt >= 0.1
    for line in new:
        assert ss_number(line, "cwnd") == 10
        assert skmem(line)["tb"] < MIB and skmem(line)["rb"] < MIB, line


def test_both_ends_are_paced_at_the_rate(net, gateway, family, asked):
    asked(flow_control="cubic", rate="50mbit")
    for line in crossed(net, gateway, family)[1:]:
        assert "cubic" in line.split()
        assert pacing(line) <= 50_000_000


def assert_buffers(net, legs, window):
    """As far as each host's limits allow; the gateway is above them."""
    here, there = legs
    assert skmem(here)["tb"] >= window and skmem(here)["rb"] >= window, here
    if int(limit(net.remote, "core/wmem_max")) >= window:
        assert skmem(there)["tb"] >= window, there
    if new_kernel(6, 11):
        most = min(int(limit(net.remote, "ipv4/tcp_rmem", 2)), window)
        assert ss_number(here, "snd_wnd") >= most // 2  # what the remote offers
        assert ss_number(there, "snd_wnd") >= window // 2  # what the gateway does


def test_both_ends_have_the_windows_buffers(net, gateway, family, asked):
    asked(window="4MiB")
    assert_buffers(net, crossed(net, gateway, family)[1:], 4 * MIB)


def test_rate_and_rtt_are_a_window_at_both_ends(net, gateway, family, asked):
    """Of twice rate x rtt, where no window is given."""
    asked(**LINK)
    assert_buffers(net, crossed(net, gateway, family)[1:], 2 * 1_250_000)


@pytest.mark.parametrize("params, dscp", [
    ({"qos": "ubr", "rate": "50mbit", "flow_control": "cubic"}, 0),
    ({"dscp": 10}, 10),
    ({"qos": "cbr", "rate": "50mbit"}, 46),
    ({"qos": "vbr", "sustained": "20mbit", "peak": "50mbit"}, 34),
    ({"qos": "abr", "minimum": "50mbit", "peak": "50mbit"}, 18),
], ids=["ubr", "dscp", "cbr", "vbr", "abr"])
def test_both_ends_mark_their_packets(net, gateway, family, asked, params, dscp):
    """And of a class, both run linkrate at its rate; best effort is the kernel's, paced."""
    asked(**params)
    capture = Capture(net.remote, "eth0")
    near, *legs = crossed(net, gateway, family)
    seen = capture.segments(lambda s: PORT in (s.source_port, s.target_port))
    there = {s.dscp for s in seen if not s.outgoing}
    back = {s.dscp for s in seen if s.outgoing and not s.is_syn_ack}
    assert (there, back) == ({dscp}, {dscp})
    if params.get("qos") == "ubr":
        for line in legs:
            assert "cubic" in line.split()
            assert pacing(line) <= 50_000_000
    elif "qos" in params:
        for line in legs:
            assert "linkrate" in line.split()
            assert 45_000_000 < pacing(line) < 50_000_000  # of 50 Mbit/s of packets, the payload


def test_linkrate_has_each_ends_own_measure_of_the_way(net, gateway, family, asked):
    """Both have rate x RTT in their window once they know it, and not the default before."""
    asked(flow_control="linkrate", skip_slow_start=True, **LINK)
    with net.slow(there=0.05, back=0.05):
        for line in crossed(net, gateway, family)[1:]:
            assert "linkrate" in line.split()
            assert flight(line) <= ss_number(line, "cwnd") <= 3 * flight(line)


def test_a_listener_that_was_there_first_is_tuned_as_well(net, gateway, family, asked):
    """It knows nothing of the agent."""
    with net.remote.listen(family, family.remote, PORT) as listener:
        asked(skip_slow_start=True, flow_control="cubic", **LINK)
        net.client.connect(family, family.remote, PORT)
        far, _ = listener.accept()
        net.remote.sockets.append(far)
        line = remote_leg(net, family)
        assert "cubic" in line.split()
        assert ss_number(line, "cwnd") == flight(line)


def test_a_reloaded_agent_tunes_new_connections_anew(net, gateway, family, asked):
    agent = asked(flow_control="reno")
    _, here, there = crossed(net, gateway, family)
    assert "reno" in here.split() and "reno" in there.split()
    net.close_sockets()
    agent.reload(service(PORT, flow_control="cubic"))
    wait_for(lambda: gateway.counters()["changed"], "the gateway has the new parameters")
    _, here, there = crossed(net, gateway, family)
    assert "cubic" in here.split() and "cubic" in there.split()


def test_a_port_that_cannot_be_tuned_as_asked_is_not_tuned_as_before(net, gateway, family, asked):
    agent = asked(flow_control="reno")
    _, _, there = crossed(net, gateway, family)
    assert "reno" in there.split()
    net.close_sockets()
    agent.reload(service(PORT, flow_control="nosuch"))
    agent.says(f"trunk port {PORT} is not tuned")
    near, _ = net.connection(family, PORT)
    assert "reno" not in remote_leg(net, family).split()


def test_an_agent_that_becomes_a_next_hop_tunes_no_port_of_its_own(net, gateway, family, asked):
    agent = asked(flow_control="reno")
    _, _, there = crossed(net, gateway, family)
    assert "reno" in there.split()
    net.close_sockets()
    agent.reload(service(PORT, flow_control="reno"), nexthop=True)

    def is_untuned():
        with net.remote.listen(family, family.remote, PORT) as listener:
            net.wan.connect(family, family.remote, PORT)
            net.remote.sockets.append(listener.accept()[0])
            try:
                return "reno" not in remote_leg(net, family).split()
            finally:
                net.close_sockets()

    wait_for(is_untuned, "the port is run as the host has it")


def limit(namespace, path, column=0):
    """A number under /proc/sys/net of a namespace; 0 where it is not shown there."""
    with namespace.entered(), contextlib.suppress(FileNotFoundError):
        with open(f"/proc/sys/net/{path}") as values:
            return values.read().split()[column]
    return 0


def test_other_ports_and_other_namespaces_are_left_alone(net, gateway, family, asked):
    asked(skip_slow_start=True, flow_control="cubic", **LINK)
    net.connection(family, PORT + 2)
    assert ss_number(remote_leg(net, family, PORT + 2), "cwnd") == 10
    with net.gateway.listen(family, family.lan, PORT) as listener:
        near = net.client.connect(family, family.lan, PORT)
        far, _ = listener.accept()
        lines = net.gateway.tcp("state", "established", "sport", f"= :{PORT}")
        assert [ss_number(line, "cwnd") for line in lines] == [10]
        near.close()
        far.close()


def test_another_daemon_of_the_host_takes_nothing_away(net, gateway, family, asked):
    """It came later and knows nothing of these sockets: the first window stays offered."""
    if not new_kernel(6, 11):
        raise Unsupported("an initial window bound to 64 KiB (before 6.11)")
    asked(window="4MiB")
    Agent(gateway, family, name="other", namespace=net.client).start(
        service(PORT, window="64KiB"))
    for line in crossed(net, gateway, family)[1:]:
        assert ss_number(line, "snd_wnd") >= MIB


def test_a_trunk_port_is_left_alone_when_the_agent_is_gone(net, gateway, family, asked):
    """The gateway still has the lease, and runs its end as it was asked."""
    asked(skip_slow_start=True, flow_control="cubic", **LINK).kill()
    net.connection(family, PORT)
    line = wan_leg(net, family)
    assert ss_number(line, "cwnd") == flight(line)
    assert ss_number(remote_leg(net, family), "cwnd") == 10


def test_the_first_flight_is_sent_before_the_first_answer(net, gateway, family, asked):
    """A download: what leaves the remote until the gateway's first acknowledgement of it."""
    content = os.urandom(2_000_000)
    with wan.long_way(net, "--delay", "50ms"):
        agent = asked(address=wan.FAR[family.name].remote, window="4MiB", skip_slow_start=True,
                      flow_control="cubic", **LINK)
        near, far = wan.connection(net, family, PORT)
        near.sendall(b"go")  # opens the window beyond the handshake's 64 KiB
        assert receive(far, 2) == b"go"
        capture = Capture(net.remote, "far")
        sender = Task(far.sendall, content)
        assert receive(near, len(content)) == content
        sender.result()
        segments = capture.segments(lambda s: PORT in (s.source_port, s.target_port))
        near.close()
        far.close()
        agent.stop()
    sent = [s.sequence for s in segments if s.outgoing]
    first_answer = next(number for number, s in enumerate(segments)
                        if not s.outgoing and (s.acknowledgement - sent[0]) % (1 << 32) > 0
                        and (s.acknowledgement - sent[0]) % (1 << 32) < 1 << 31)
    in_flight = sum(1 for s in segments[:first_answer] if s.outgoing)
    most = max((s.sequence - sent[0]) % (1 << 32) for s in segments[:first_answer] if s.outgoing)
    print(f"first flight of {family}: {most} bytes in {in_flight} bursts of 1250000")
    assert 200_000 < most <= 1_400_000


# ---- linkrate on a link ----

@contextlib.contextmanager
def stream_up(net, family, **connect):
    """A client that sends without end in the block; gives its socket."""
    near, far = wan.connection(net, family, PORT)
    stop = threading.Event()

    def send():
        block = bytes(1 << 16)
        with contextlib.suppress(OSError):
            while not stop.is_set():
                near.sendall(block)

    def read():
        buffer = bytearray(1 << 20)
        with contextlib.suppress(OSError):
            while far.recv_into(buffer):
                pass

    tasks = Task(send), Task(read)
    try:
        yield near
    finally:
        stop.set()
        far.close()
        net.close_sockets()
        for task in tasks:
            task.result()


@contextlib.contextmanager
def flood(net, family, bits_per_second):
    """Datagrams of somebody else on the same link, towards the remote."""
    remote = wan.FAR[family.name].remote
    size = 1400
    out = net.wan.socket(family.af, socket.SOCK_DGRAM)
    out.connect((remote, 9))
    sink = net.remote.socket(family.af, socket.SOCK_DGRAM)
    sink.bind((remote, 9))
    stop = threading.Event()

    def send():
        begin, sent = time.monotonic(), 0
        while not stop.is_set():
            due = (time.monotonic() - begin) * bits_per_second / 8 / size
            while sent < due:
                with contextlib.suppress(OSError):
                    out.send(bytes(size))
                sent += 1
            time.sleep(0.002)

    task = Task(send)
    try:
        yield
    finally:
        stop.set()
        task.result()


def watch(gateway, near, condition, what, timeout=60):
    """Polls the flow's pacing until condition(bits a second) holds; all that was seen."""
    seen = []

    def holds():
        flow = gateway.flow_of(near)
        if flow and flow["wan"]["pacing_bps"]:
            seen.append(flow["wan"]["pacing_bps"])
            return condition(seen[-1])
        return False

    try:
        wait_for(holds, what, timeout)
    except AssertionError as error:
        raise AssertionError(f"{error}; pacing was {seen[-10:]}") from None
    return seen


def far_port(family, **params):
    return serve(PORT, address=wan.FAR[family.name].remote, **params)


@pytest.mark.smoke
def test_linkrate_fills_a_lossy_link(net, gateway, family):
    content = os.urandom(20_000_000)
    gateway.start(far_port(family, flow_control="linkrate", skip_slow_start=True, **LINK))
    with wan.long_way(net, "--rate", "100mbit", "--delay", "50ms", "--loss", "0.001"):
        seconds, digest = wan.upload(net, family, PORT, content)
    bound = wan.least_seconds(len(content), 100e6, 0.1)
    print(f"{family}: {seconds:.2f} s, {seconds / bound:.2f} x the bound of {bound:.2f} s")
    assert digest == hashlib.sha256(content).hexdigest()


def test_linkrate_does_not_take_random_loss_for_congestion(net, gateway, family):
    content = os.urandom(10_000_000)
    gateway.start(far_port(family, flow_control="linkrate", rate="50mbit", rtt="100ms"))
    with wan.long_way(net, "--rate", "100mbit", "--delay", "50ms", "--loss", "0.01"):
        seconds, digest = wan.upload(net, family, PORT, content)
        bound = wan.least_seconds(len(content), 50e6, 0.1)
        print(f"{family}: {seconds:.2f} s, {seconds / bound:.2f} x the bound of {bound:.2f} s")
        assert digest == hashlib.sha256(content).hexdigest()
        with stream_up(net, family) as near:
            time.sleep(3)
            watch(gateway, near, lambda bps: bps > 25_000_000, "more than half the rate")


def test_linkrate_gives_way_when_the_rate_is_not_there_and_comes_back(net, gateway, family):
    """Over a way so long that a machine which is late by 30 ms is not taken for a queue; the
    flood is more than the link carries, so that its own share is lost whoever is late."""
    gateway.start(far_port(family, flow_control="linkrate", rate="18mbit", rtt="100ms"))
    with wan.long_way(net, "--rate", "20mbit", "--delay", "50ms"), \
            stream_up(net, family) as near:
        watch(gateway, near, lambda bps: bps > 16_000_000, "the reserved rate")
        with flood(net, family, 21e6):
            down = watch(gateway, near, lambda bps: bps < 11_000_000, "a lower rate", 90)
        up = watch(gateway, near, lambda bps: bps > 16_000_000, "the reserved rate again", 90)
    assert min(down + up) > 18_000_000 / 8 * 0.9, "below its floor"


def test_cbr_gives_way_to_nobody(net, gateway, family):
    gateway.start(far_port(family, qos="cbr", rate="15mbit", rtt="30ms"))
    with wan.long_way(net, "--rate", "20mbit", "--delay", "15ms"), \
            stream_up(net, family) as near, flood(net, family, 15e6):
        time.sleep(3)
        watch(gateway, near, lambda bps: 14_000_000 < bps < 15_000_000, "its rate")


def test_abr_rises_from_its_minimum_to_its_peak(net, gateway, family):
    gateway.start(far_port(family, qos="abr", minimum="2mbit", peak="15mbit", rtt="30ms"))
    with wan.long_way(net, "--rate", "20mbit", "--delay", "15ms"), \
            stream_up(net, family) as near:
        seen = watch(gateway, near, lambda bps: bps > 14_000_000, "its peak")
    assert max(seen) < 15_000_000


def test_vbr_bursts_at_its_peak_and_then_holds_the_sustained_rate(net, gateway, family):
    gateway.start(far_port(family, qos="vbr", sustained="5mbit", peak="15mbit", rtt="30ms"))
    with wan.long_way(net, "--rate", "20mbit", "--delay", "15ms"), \
            stream_up(net, family) as near:
        watch(gateway, near, lambda bps: bps > 14_000_000, "its peak")
        watch(gateway, near, lambda bps: bps < 5_000_000, "the sustained rate")
        time.sleep(1)
        watch(gateway, near, lambda bps: 4_500_000 < bps < 5_000_000, "the sustained rate still")


# ---- who owns it ----

def test_one_daemon_of_a_host_takes_over_from_the_other(alone, net, gateway, family):
    """And while the other has it, it runs with the parameters of both."""
    # an agent tunes its ports whether or not a gateway hears it
    agent = Agent(gateway, family).start(service(PORT + 1, rate="1mbit"))
    wait_for(linkrate_known, "the agent has registered it")
    gateway.start(serve(PORT, qos="abr", minimum="10mbit", peak="50mbit"))
    near, far = net.connection(family, PORT)
    echo(near, far)
    assert 9_000_000 < gateway.flow_of(near)["wan"]["pacing_bps"] < 10_000_000
    assert agent.stop() == 0
    echo(near, far)  # a socket keeps what it has
    assert linkrate_known() or not new_kernel(6, 4)
    wait_for(linkrate_known, "the gateway has registered it")
    near, far = net.connection(family, PORT)
    echo(near, far)
    leg = gateway.flow_of(near)["wan"]
    assert leg["cc"] == "linkrate"
    assert 9_000_000 < leg["pacing_bps"] < 10_000_000


def test_an_agent_takes_over_from_another_daemon(alone, net, gateway, family):
    """A trunk port keeps linkrate when the daemon that had registered it ends."""
    owner = Agent(gateway, family, name="owner", namespace=net.client).start(
        service(PORT + 1, rate="1mbit"))
    wait_for(linkrate_known, "one agent has registered it")
    gateway.start(registrar(), policy(gateway))
    announce(gateway, family, PORT, qos="abr", minimum="10mbit", peak="50mbit")
    assert owner.stop() == 0
    wait_for(linkrate_known, "another has registered it")
    for line in crossed(net, gateway, family)[1:]:
        assert "linkrate" in line.split()
        assert 8_500_000 < pacing(line) < 10_000_000

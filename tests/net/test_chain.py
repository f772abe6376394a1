# SPDX-License-Identifier: GPL-2.0
"""
Two gateways in a row, client - A - B - remote: the WAN leg of A is a client's
connection to B, which takes it as its trunk port is registered there. Each link
is a hop of its own, and the way a connection ends holds from end to end. B runs
where other tests have but a router.
"""
import os
import re
import shutil
import socket
import threading

import pytest

from agent import REGISTRAR_PORT, Agent, key_file, policy, registrar, service, wait_registered
from gateway import Gateway, serve
from peer import Stream, Task, carry, receive_digest, send_stream
from rig import SOCKET_TIMEOUT, Capture, echo, receive, receive_all, reset, wait_for
from test_close import assert_reset

pytestmark = pytest.mark.stealing

MIB = 1 << 20
SERVICE = 5000  # that clients connect to
MIDDLE = 6000  # A's trunk port, and B's service port
TRUNK = 7000  # B's trunk port, where the application listens


@pytest.fixture
def second(net, gateway, mode):
    """B, not started yet."""
    keep = net.processes()
    engine, intercept = mode
    sluice = Gateway(net, engine, intercept, namespace=net.wan, lan="west", wan="east")
    try:
        yield sluice
        net.tidy(keep)
        sluice.finish()
    finally:
        sluice.remove()


@pytest.fixture
def chain(gateway, second):
    """Both gateways, with tables from their files."""
    gateway.start(serve(SERVICE, trunk=MIDDLE))
    second.start(serve(MIDDLE, trunk=TRUNK))
    return gateway, second


def connection(net, family, port=TRUNK):
    """(the client's socket, the remote's) of a connection to SERVICE that arrives at port."""
    with net.remote.listen(family, family.remote, port) as listener:
        near = net.client.connect(family, family.remote, SERVICE)
        listener.settimeout(SOCKET_TIMEOUT)
        far, _ = listener.accept()
    net.remote.sockets.append(far)
    far.settimeout(SOCKET_TIMEOUT)
    return near, far


def leg_of(sluice, address, port):
    """`sluice show flow ID -j` of the flow of a client."""
    def found():
        for flow in sluice.flows():
            if flow["client"].rpartition(":")[2] == str(port) and address in flow["client"]:
                return sluice.show("flow", flow["id"])["flow"]
        return None
    return wait_for(found, f"a flow of {address} {port} is shown")


def flows_of(net, family, gateway, second, near):
    """The flow at A and the one at B of a client's socket."""
    first = leg_of(gateway, *near.getsockname()[:2])
    lines = net.gateway.tcp("state", "established", "dst", family.host(family.remote),
                            "dport", f"= :{MIDDLE}")
    assert len(lines) == 1, lines
    port = int(re.search(rf":(\d+)\s+\S+:{MIDDLE}\s", lines[0])[1])
    return first, leg_of(second, family.wan, port)


# ---- three hops ----

@pytest.mark.smoke
def test_a_download_crosses_three_hops_each_with_its_own_parameters(net, gateway, second, family):
    """The remote registers at both gateways and asks each for something else."""
    gateway.start(registrar(), policy(gateway))
    second.start(registrar(), policy(second))
    west = Agent(gateway, family, name="west").start(
        service(SERVICE, trunk=MIDDLE, flow_control="reno", dscp=10, rate="900mbit"))
    east = Agent(second, family, name="east").start(
        service(MIDDLE, trunk=TRUNK, qos="cbr", rate="400mbit", rtt="20ms", window="4MiB"),
        registrars=[family.at(family.router_east, REGISTRAR_PORT)])
    wait_registered(gateway, family.remote, SERVICE)
    wait_registered(second, family.remote, MIDDLE)
    # Where packets leave: the second gateway may rewrite them on their way in.
    sent = Capture(net.gateway, "wan0")
    capture = Capture(net.wan, "east")

    near, far = connection(net, family)
    echo(near, far)
    carry(far, near, 8 * MIB)
    assert near.getpeername()[:2] == (family.remote, SERVICE)
    assert far.getpeername()[0] == family.router_east, "B's own connection"

    first, then = flows_of(net, family, gateway, second, near)
    assert (first["trunk_port"], then["trunk_port"]) == (MIDDLE, TRUNK)
    assert (first["wan"]["cc"], then["wan"]["cc"]) == ("reno", "linkrate")
    assert first["wan"]["pacing_bps"] <= 900_000_000
    assert 350_000_000 < then["wan"]["pacing_bps"] <= 400_000_000
    assert first["params"]["flow-control"] == "reno" and then["params"]["qos"] == "cbr"
    for flow in first, then:
        assert flow["down"]["bytes"] >= 8 * MIB
    there = net.remote.tcp("state", "established", "sport", f"= :{TRUNK}")
    assert len(there) == 1 and "linkrate" in there[0].split(), there

    def marks(capture, **end):
        """Of what crossed a device from, or to, a port."""
        (name, port), = end.items()
        return {s.dscp for s in capture.segments(
            lambda s: getattr(s, name) == port and not s.is_syn_ack)}

    assert marks(sent, target_port=MIDDLE) == {10}
    assert marks(capture, target_port=TRUNK) == {46}
    assert marks(capture, source_port=TRUNK) == {46}, "the remote's answers, by its agent"
    assert west.stop() == 0 and east.stop() == 0


def test_bytes_cross_unharmed_both_ways_at_once(net, chain, family):
    near, far = connection(net, family)
    up, down = Stream(16 * MIB, seed=1), Stream(16 * MIB, seed=2)
    sending = Task(send_stream, near, up), Task(send_stream, far, down)
    heard = Task(receive_digest, far)
    assert receive_digest(near) == (down.size, down.digest())
    assert heard.result() == (up.size, up.digest())
    for task in sending:
        task.result()


def test_the_remote_may_see_the_client_through_both(net, gateway, second, family):
    """source = client at each: B takes for the client what A connects in its name."""
    gateway.start(serve(SERVICE, trunk=MIDDLE, source="client"))
    second.start(serve(MIDDLE, trunk=TRUNK, source="client"))
    with gateway.counting(joined=1, closed=1), second.counting(joined=1, closed=1):
        near, far = connection(net, family)
        assert far.getpeername()[:2] == near.getsockname()[:2]
        carry(near, far, 2 * MIB)
        carry(far, near, 2 * MIB)
        near.close()
        assert receive_all(far) == b""
        far.close()


# ---- one agent at both ----

@pytest.mark.parametrize("killed", ["first", "second"])
def test_an_agent_goes_on_with_one_gateway_when_the_other_is_killed(net, gateway, second, family,
                                                                    killed):
    """The same service at both, so that each has a part of the way to serve when it is alone."""
    shutil.copy(key_file(gateway, "site"), os.path.join(second.directory, "site.key"))
    gateway.start(registrar(), policy(gateway))
    second.start(registrar(), policy(second))
    agent = Agent(gateway, family).start(service(SERVICE), registrars=[
        family.at(address, REGISTRAR_PORT) for address in (family.wan, family.router_east)])
    wait_registered(gateway, family.remote, SERVICE)
    wait_registered(second, family.remote, SERVICE)
    near, far = connection(net, family, SERVICE)
    echo(near, far)
    assert far.getpeername()[0] == family.router_east, "the second's own connection"
    assert gateway.flow_of(near), "by way of the first"

    gone, left = (gateway, second) if killed == "first" else (second, gateway)
    gone.kill()
    renewed = left.counters()["renewed"]
    agent.says(f"gateway gw{int(killed == 'second')}: connection lost")
    wait_for(lambda: left.counters()["renewed"] >= renewed + 4, "more than a lease", 30)
    near, far = connection(net, family, SERVICE)
    echo(near, far)
    assert far.getpeername()[0] == (family.router_east if left is second else family.wan)
    assert left.flow_of(near)
    assert left.counters()["expired"] == 0 and agent.process.running()


# ---- connecting ----

def test_a_closed_port_is_refused_at_the_client(net, chain, family):
    """The SYN is answered by nobody before the remote has: not by A, not by B."""
    gateway, second = chain
    capture = Capture(net.client, "eth0")
    with gateway.counting(refused=1), second.counting(refused=1), \
            pytest.raises(ConnectionRefusedError):
        net.client.connect(family, family.remote, SERVICE)
    _, answer = capture.segments(lambda s: SERVICE in (s.source_port, s.target_port))
    assert answer.is_reset and answer.source == family.remote


def test_a_remote_that_is_not_there_is_unreachable_through_both(net, gateway, second, family):
    """Only B learns it, from its neighbour table: the error crosses A."""
    gateway.start(serve(SERVICE, trunk=MIDDLE, address=family.silent))
    second.start(serve(MIDDLE, trunk=TRUNK, address=family.silent))
    with gateway.counting(unreachable=1), second.counting(unreachable=1), \
            pytest.raises(OSError, match="No route to host|Network is unreachable"):
        net.client.connect(family, family.silent, SERVICE)


# ---- closing ----

@pytest.mark.parametrize("first", ["client", "remote"])
def test_either_side_may_finish_first(net, chain, family, first):
    gateway, second = chain
    with gateway.counting(joined=1, closed=1), second.counting(joined=1, closed=1):
        near, far = connection(net, family)
        one, other = (near, far) if first == "client" else (far, near)
        one.sendall(b"all I have to say")
        one.shutdown(socket.SHUT_WR)
        assert receive_all(other) == b"all I have to say"
        reply = Stream(8 * MIB)
        sending = Task(send_stream, other, reply)
        assert receive_digest(one) == (reply.size, reply.digest())
        sending.result()
        near.close()
        far.close()


@pytest.mark.parametrize("side", ["client", "remote"])
def test_a_reset_is_carried_through(net, chain, family, side):
    gateway, second = chain
    near, far = connection(net, family)
    echo(near, far)
    counted = {f"reset_by_{side}": 1}
    with gateway.counting(**counted), second.counting(**counted):
        reset(near if side == "client" else far)
        assert_reset(far if side == "client" else near)


@pytest.mark.parametrize("side", ["client", "remote"])
def test_a_reset_after_the_other_side_finished_is_carried_through(net, chain, family, side):
    near, far = connection(net, family)
    one, other = (near, far) if side == "client" else (far, near)
    other.shutdown(socket.SHUT_WR)
    assert receive_all(one) == b""
    one.sendall(b"and then")
    assert receive(other, 8) == b"and then"
    reset(one)
    assert_reset(other)


@pytest.mark.parametrize("sender", ["client", "remote"])
def test_a_kill_of_the_second_daemon_is_a_reset_at_both_ends(net, chain, family, sender):
    """In mid-transfer; no truncated stream ends cleanly. Then new connections do without it."""
    gateway, second = chain
    near, far = connection(net, family)
    out, into = (near, far) if sender == "client" else (far, near)
    broken = threading.Event()

    def flood():
        try:
            while True:
                out.sendall(bytes(MIB))
        except (ConnectionResetError, BrokenPipeError):
            broken.set()

    flooding = Task(flood)
    receive(into, 8 * MIB)
    second.kill()
    assert_reset(into)
    flooding.result()
    assert broken.is_set()

    near, far = connection(net, family, MIDDLE)
    echo(near, far)
    assert far.getpeername()[0] == family.wan, "A's own connection"
    assert gateway.flow_of(near)["trunk_port"] == MIDDLE

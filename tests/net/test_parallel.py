# SPDX-License-Identifier: GPL-2.0
"""
Several connections for one flow (parallel) and trunks that the agent ends: what
client and application see is what they see without, and both ends count as many
connections as were asked for, or say why there is one.
"""
import contextlib
import os
import re
import signal
import socket

import pytest

from agent import AGENT, Agent, announce, policy, registrar, service, wait_registered
from gateway import serve
from peer import Server, Stream, Task, carry, echo_handler, parse_proxy_v2, receive_digest, \
    send_stream
from rig import SOCKET_TIMEOUT, Capture, echo, receive, receive_all, reset, stopped, wait_for
from test_close import assert_reset

pytestmark = pytest.mark.stealing

MIB = 1 << 20
SERVICE, TRUNK = 5000, 7000
PARALLEL = {"trunk": TRUNK, "parallel": 4}
ENDED = {"trunk": TRUNK, "end_trunk": "true"}  # by plain TCP, or by MPTCP with one connection
CARRIED = {**ENDED, "engine": "kernel"}  # at both ends
KINDS = pytest.mark.parametrize("kind", [PARALLEL, ENDED, CARRIED],
                                ids=["parallel", "end-trunk", "kernel"])


@pytest.fixture
def listening(gateway):
    """The gateway, with a registrar and a policy for the remote."""
    gateway.start(registrar(lease=12), policy(gateway))
    return gateway


def numbers(pattern, lines):
    return [int(re.search(pattern, line)[1]) for line in lines]


def trunk_ends(net):
    """What ss(8) says of the trunk's connections at the remote."""
    return net.remote.tcp("state", "established", "sport", f"= :{TRUNK}")


def wan_legs(net):
    """And at the gateway."""
    return net.gateway.tcp("state", "established", "dport", f"= :{TRUNK}")


def wait_connections(net, gateway, near, count):
    wait_for(lambda: gateway.flow_of(near)["wan"]["subflows"] == count
             and len(trunk_ends(net)) == len(wan_legs(net)) == count,
             f"{count} connections at both ends")


def by_agent(net, far):
    """Whether the application's connection is one that the agent made."""
    return far.getpeername()[0] == far.getsockname()[0]


# ---- how many ----

@pytest.mark.smoke
@pytest.mark.parametrize("count", [2, 8])
def test_both_ends_have_as_many_connections_as_were_asked_for(net, listening, family, count):
    announce(listening, family, SERVICE, trunk=TRUNK, parallel=count)
    near, far = net.connection(family, SERVICE)
    assert by_agent(net, far)
    echo(near, far)
    wait_connections(net, listening, near, count)
    assert listening.flow_of(near)["wan"]["fallback"] is False

    def shared():
        """The kernel chooses which of them carry how much: it is not the first alone."""
        carry(near, far, 8 * MIB)
        carry(far, near, 8 * MIB)
        return all(len(re.findall(r"\bbytes_sent:\d{5}", "\n".join(lines))) > 1
                   for lines in (wan_legs(net), trunk_ends(net)))

    wait_for(shared, "bytes on more than one connection", 30)


def test_a_connection_that_is_lost_is_replaced_and_no_byte_with_it(net, listening, family):
    announce(listening, family, SERVICE, **PARALLEL)
    near, far = net.connection(family, SERVICE)
    wait_connections(net, listening, near, 4)
    before = set(numbers(r"\S+:(\d+)\s+\S+:\d+", wan_legs(net)))
    carrying = Task(carry, near, far, 256 * MIB)
    wait_for(lambda: listening.flow_of(near)["up"]["bytes"] > MIB, "bytes are on their way")
    # the last: a port from which no earlier one may have come
    lost = numbers(r"\S+:(\d+)\s+\S+:\d+", wan_legs(net))[-1]
    net.remote.run("ss", "-K", "-t", "dport", f"= :{lost}")
    carrying.result()
    wait_connections(net, listening, near, 4)
    after = set(numbers(r"\S+:(\d+)\s+\S+:\d+", wan_legs(net)))
    assert lost not in after and len(before & after) == 3
    carry(far, near, 8 * MIB)


def test_without_mptcp_at_the_remote_there_is_one_connection_and_show_says_so(
        net, listening, family):
    net.remote.sysctl(mptcp__enabled=0)
    try:
        announce(listening, family, SERVICE, **PARALLEL)
        near, far = net.connection(family, SERVICE)
        echo(near, far)
        carry(near, far, MIB)
        carry(far, near, MIB)
        leg = listening.flow_of(near)["wan"]
        assert (leg["subflows"], leg["fallback"]) == (1, True)
        text = listening.sluice("show", "flow", str(listening.flow_of(near)["id"])).stdout
        assert "one connection, as the remote or the path to it has no MPTCP" in text
    finally:
        net.remote.sysctl(mptcp__enabled=1)


def test_a_static_entry_with_a_plain_server_has_one_connection_and_show_says_so(net, gateway,
                                                                                 family):
    """Nobody has registered it, and what listens there has never heard of MPTCP."""
    gateway.start(serve(SERVICE, parallel=4))
    near, far = net.connection(family, SERVICE)
    assert gateway.took(far, family)
    carry(near, far, MIB)
    carry(far, near, MIB)
    flow = gateway.flow_of(near)
    assert (flow["wan"]["subflows"], flow["wan"]["fallback"]) == (1, True)
    text = gateway.sluice("show", "flow", str(flow["id"])).stdout
    assert "one connection, as the remote or the path to it has no MPTCP" in text


@contextlib.contextmanager
def stripped(net):
    """A middlebox that takes MPTCP's option (30) out of all segments it forwards."""
    net.wan.run("nft", "-f", "-", input="table inet strip { chain forward { "
                "type filter hook forward priority 0; reset tcp option 30; }; }")
    try:
        yield
    finally:
        net.wan.run("nft", "delete", "table", "inet", "strip")


def test_a_path_that_strips_mptcp_leaves_one_connection(net, listening, family):
    announce(listening, family, SERVICE, **PARALLEL)
    with stripped(net):
        near, far = net.connection(family, SERVICE)
        echo(near, far)
        carry(near, far, MIB)
        carry(far, near, MIB)
        leg = listening.flow_of(near)["wan"]
        assert (leg["subflows"], leg["fallback"]) == (1, True)
        near.close()
        far.close()
        wait_for(lambda: not listening.flows(), "the flow has ended")


def test_a_static_entry_needs_a_server_that_speaks_mptcp(net, gateway, family):
    """Without an agent: an application of its own may accept MPTCP."""
    gateway.start(serve(SERVICE, parallel=2))
    listener = socket.IPPROTO_MPTCP
    with net.remote.entered():
        sock = socket.socket(family.af, socket.SOCK_STREAM, listener)
    with contextlib.closing(sock):  # open to the end: it is where others join
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((family.remote, SERVICE))
        sock.listen()
        sock.settimeout(SOCKET_TIMEOUT)
        near = net.client.connect(family, family.remote, SERVICE)
        far, _ = sock.accept()
        net.remote.sockets.append(far)
        far.settimeout(SOCKET_TIMEOUT)
        echo(near, far)
        wait_for(lambda: gateway.flow_of(near)["wan"]["subflows"] == 2, "two connections")
        carry(near, far, MIB)
        near.close()
        assert receive_all(far) == b""


# ---- the parameters, of all connections together ----

def test_a_rate_is_shared_by_the_connections_at_both_ends(net, listening, family):
    announce(listening, family, SERVICE, rate="80mbit", rtt="50ms", flow_control="cubic",
             skip_slow_start="true", dscp="cs3", **PARALLEL)
    capture = Capture(net.remote, "eth0")
    near, far = net.connection(family, SERVICE)
    wait_connections(net, listening, near, 4)

    def paced_alike():
        carry(near, far, MIB)
        carry(far, near, MIB)
        return {rate for lines in (wan_legs(net), trunk_ends(net))
                for rate in numbers(r"pacing_rate (\d+)bps", lines)} == {20_000_000}
    wait_for(paced_alike, "every connection has its part of the rate", 60)
    for lines in wan_legs(net), trunk_ends(net):
        assert all(" cubic " in line for line in lines), lines
    segments = capture.segments(lambda s: TRUNK in (s.target_port, s.source_port))
    marked = [s for s in segments if s.dscp == 24]
    # what belongs to the handshakes goes before an IPv6 socket can be marked
    assert {s.source_port == TRUNK for s in marked} == {True, False}
    assert len(segments) - len(marked) <= 4 * 4, len(segments)


def test_linkrate_knows_its_part_of_a_rate_beyond_32_bits(alone, net, listening, family):
    """100 Gbit/s; the part is what a program can set, 32 bits of bytes a second."""
    announce(listening, family, SERVICE, rate="100gbit", rtt="1ms", flow_control="linkrate",
             trunk=TRUNK, parallel=2)
    near, far = net.connection(family, SERVICE)
    wait_connections(net, listening, near, 2)

    def paced():
        carry(near, far, MIB)
        carry(far, near, MIB)
        return min(rate for lines in (wan_legs(net), trunk_ends(net))
                   for rate in numbers(r"pacing_rate (\d+)bps", lines)) > 30_000_000_000
    wait_for(paced, "every connection has its part of the rate", 60)


@pytest.mark.parametrize("side", ["gateway", "remote"])
def test_the_first_flight_is_that_of_rate_times_rtt(net, listening, family, side):
    announce(listening, family, SERVICE, rate="100mbit", rtt="100ms", flow_control="cubic",
             skip_slow_start="true", trunk=TRUNK, parallel=2)
    near, _far = net.connection(family, SERVICE)
    wait_connections(net, listening, near, 2)
    windows = numbers(r"\bcwnd:(\d+)", wan_legs(net) if side == "gateway" else trunk_ends(net))
    # the first begins with all of the link, and halves that if it has nothing to say;
    # the second begins with its half
    assert min(windows) >= 400, windows


# ---- how connections begin ----

@KINDS
def test_the_client_is_connected_when_the_application_has_accepted(net, listening, family, kind):
    announce(listening, family, SERVICE, **kind)
    with listening.counting(refused=1):
        with pytest.raises(ConnectionRefusedError):
            net.client.connect(family, family.remote, SERVICE)
    with listening.counting(joined=1):
        near, far = net.connection(family, SERVICE)
        echo(near, far)
    assert by_agent(net, far)


@KINDS
def test_an_application_that_speaks_first_is_heard(net, listening, family, kind):
    announce(listening, family, SERVICE, **kind)

    def greet(sock, _peer):
        sock.sendall(b"220 ready\n")
        receive_all(sock)
    with Server(net.remote.listen(family, family.remote, SERVICE), greet):
        near = net.client.connect(family, family.remote, SERVICE)
        assert receive(near, 10) == b"220 ready\n"
        near.close()


def test_early_connect_holds_early_data_for_the_application(net, listening, family):
    announce(listening, family, SERVICE, connect="early", **PARALLEL)
    near, far = net.connection(family, SERVICE)
    near.sendall(b"early bird")
    assert receive(far, 10) == b"early bird"


def test_a_trunk_that_nobody_ends_any_more_is_no_black_hole(net, listening, family):
    """The agent is gone, its lease is not: clients reach the application itself."""
    agent = announce(listening, family, SERVICE, **PARALLEL)
    agent.kill()
    wait_for(lambda: not net.remote.run("ss", "-Hltn", f"sport = :{TRUNK}").stdout,
             "nobody listens at the trunk port")
    with listening.counting(forwarded=1):
        near, far = net.connection(family, SERVICE)
        echo(near, far)
    assert far.getpeername()[0] == family.client


@KINDS
def test_the_application_can_be_told_who_the_client_is(net, listening, family, kind):
    announce(listening, family, SERVICE, proxy_protocol="v2", **kind)
    near, far = net.connection(family, SERVICE)
    assert parse_proxy_v2(far) == (*near.getsockname()[:2], family.remote, SERVICE)
    echo(near, far)


# ---- strangers at the trunk port ----

@pytest.mark.parametrize("said", [
    b"GET / HTTP/1.0\r\n\r\n", b"\r\n\r\n\0\r\nQUIT\n" + b"\x21\x11\xff\xff" + bytes(100),
    b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"], ids=["http", "too-long", "local"])
def test_what_is_no_gateways_header_is_reset(net, listening, family, said):
    announce(listening, family, SERVICE, **PARALLEL)
    stranger = net.wan.connect(family, family.remote, TRUNK)
    stranger.sendall(said)
    assert_reset(stranger)


def header(family, client, remote, port):
    parts = [socket.inet_pton(family.af, client), socket.inet_pton(family.af, remote)]
    kind, size = (b"\x11", 12) if family.af == socket.AF_INET else (b"\x21", 36)
    return (b"\r\n\r\n\0\r\nQUIT\n\x21" + kind + size.to_bytes(2, "big") + b"".join(parts) +
            (4242).to_bytes(2, "big") + port.to_bytes(2, "big"))


@pytest.mark.parametrize("port, answer", [(SERVICE, 2), (22, 4)], ids=["refused", "not-ours"])
def test_a_trunk_leads_to_its_own_service_alone(net, listening, family, port, answer):
    announce(listening, family, SERVICE, **PARALLEL)
    stranger = net.wan.connect(family, family.remote, TRUNK)
    for byte in header(family, family.client, family.remote, port):
        stranger.sendall(bytes([byte]))  # in as many segments as there may be
    assert receive(stranger, 1) == bytes([answer])


def test_the_trunks_process_holds_no_privilege(net, listening, family):
    agent = announce(listening, family, SERVICE, **PARALLEL)
    pid = agent.process.popen.pid
    with open(f"/proc/{pid}/task/{pid}/children") as text:
        children = text.read().split()
    assert len(children) == 1
    with open(f"/proc/{children[0]}/status") as text:
        status = dict(line.split(":\t", 1) for line in text.read().splitlines() if ":\t" in line)
    assert "0" not in status["Uid"].split()
    assert all(int(status[name], 16) == 0 for name in ("CapPrm", "CapEff", "CapInh", "CapAmb"))
    assert status["NoNewPrivs"] == "1"


# ---- who carries ----

def test_a_flow_that_the_kernel_carries_needs_nobody_at_either_end(net, listening, family):
    """While no more is under way than the budget holds, as what does not fit is the relay's."""
    agent = announce(listening, family, SERVICE, **CARRIED)
    near, far = net.connection(family, SERVICE)
    assert by_agent(net, far)
    echo(near, far)
    with stopped(agent_children(agent) + listening.relays()):
        for _ in range(1000):
            echo(near, far)
        for _ in range(256):
            carry(near, far, 8 << 10)
            carry(far, near, 8 << 10)


# ---- how connections end ----

@KINDS
@pytest.mark.parametrize("first", ["client", "remote"])
def test_either_side_may_finish_first_and_still_hear_all(net, listening, family, first, kind):
    announce(listening, family, SERVICE, **kind)
    near, far = net.connection(family, SERVICE)
    out, into = (near, far) if first == "client" else (far, near)
    with listening.counting(closed=1):
        content, reply = Stream(8 * MIB), Stream(16 * MIB, seed=2)
        sending = Task(send_stream, out, content)
        assert receive_digest(into) == (content.size, content.digest())
        sending.result()
        sending = Task(send_stream, into, reply)
        assert receive_digest(out) == (reply.size, reply.digest())
        sending.result()
        near.close()
        far.close()
    wait_for(lambda: not trunk_ends(net), "the trunk's connections are closed")


@KINDS
def test_who_has_sent_all_may_close_before_it_is_read(net, listening, family, kind):
    announce(listening, family, SERVICE, **kind)
    near, far = net.connection(family, SERVICE)
    content = Stream(MIB)
    near.shutdown(socket.SHUT_WR)
    assert receive_all(far) == b""
    send_stream(far, content)
    far.close()
    assert receive_digest(near) == (content.size, content.digest())


@KINDS
@pytest.mark.parametrize("side", ["client", "remote"])
def test_a_reset_arrives_as_a_reset(net, listening, family, side, kind):
    announce(listening, family, SERVICE, **kind)
    near, far = net.connection(family, SERVICE)
    echo(near, far)
    with listening.counting(**{f"reset_by_{side}": 1}):
        reset(near if side == "client" else far)
        assert_reset(far if side == "client" else near)


def agent_children(agent):
    pid = agent.process.popen.pid
    with open(f"/proc/{pid}/task/{pid}/children") as text:
        return [int(child) for child in text.read().split()]


@KINDS
@pytest.mark.parametrize("victim", ["relay", "trunk end"])
def test_a_killed_process_never_ends_a_stream_cleanly(net, listening, family, victim, kind):
    agent = announce(listening, family, SERVICE, **kind)
    near, far = net.connection(family, SERVICE)
    echo(near, far)
    sending = Task(lambda: [near.sendall(bytes(MIB)) for _ in range(1000)])
    receive(far, 4 * MIB)
    victims = listening.relays() if victim == "relay" else agent_children(agent)
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    assert_reset(far)
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        sending.result()
    if victim == "trunk end":
        wait_for(lambda: agent_children(agent) not in ([], victims), "it is started again")
        near, far = net.connection(family, SERVICE)
        echo(near, far)
        assert by_agent(net, far)


# ---- reload and stop ----

def test_a_reload_keeps_flows_of_trunks_that_go_or_change(net, listening, family):
    agent = announce(listening, family, SERVICE, **PARALLEL)
    near, far = net.connection(family, SERVICE)
    echo(near, far)
    agent.reload(service(SERVICE, trunk=TRUNK, parallel=2, keepalive="30s"))
    agent.says("reloaded: 1 services")
    wait_for(lambda: any(params["ports"] and params["values"]["parallel"] == "2"
                         for params in listening.show("params")["params"]),
             "the gateway has the new parameters")
    echo(near, far)
    other, distant = net.connection(family, SERVICE)
    echo(other, distant)
    assert by_agent(net, distant)
    agent.reload(service(SERVICE))
    wait_for(lambda: not net.remote.run("ss", "-Hltn", f"sport = :{TRUNK}").stdout,
             "nobody listens at the trunk port")
    for pair in (near, far), (other, distant):
        echo(*pair)
        carry(*pair, MIB)


def test_a_stop_waits_for_the_flows_of_its_trunks(net, listening, family):
    agent = announce(listening, family, SERVICE, **PARALLEL)
    near, far = net.connection(family, SERVICE)
    echo(near, far)
    agent.process.popen.terminate()
    wait_for(lambda: not net.remote.run("ss", "-Hltn", f"sport = :{TRUNK}").stdout,
             "nobody listens at the trunk port")
    echo(near, far)
    straight, distant = net.connection(family, SERVICE)
    assert distant.getpeername()[0] == family.client
    near.close()
    far.close()
    straight.close()
    assert agent.process.wait(20) == 0


def test_mptcp_is_left_as_it_was_found(net, listening, family):
    def state():
        with net.gateway.entered():
            with open("/proc/sys/net/mptcp/pm_type") as text:
                manager = text.read()
        return manager, net.remote.run("ip", "mptcp", "limits").stdout
    before = state()
    agent = announce(listening, family, SERVICE, trunk=TRUNK, parallel=8)
    assert state() != before
    assert agent.stop() == 0
    listening.expect_exit = True
    assert listening.stop() == 0
    assert state() == before


# ---- configurations ----

@pytest.mark.parametrize("line, said", [
    ("service 80 { parallel = 4 }",
     "parallel without trunk, expected trunk = a free port of this host, other than 80"),
    ('service 80 { trunk = 81 end-trunk = true source = "client" }',
     "end-trunk with source = client, expected one of them"),
    ("service 80 { trunk = 81 end-trunk = maybe }", 'end-trunk is "maybe", expected true or false'),
    ("service 80 { trunk = 90 parallel = 2 }\nservice 81 { trunk = 90 }",
     "trunk 90 is also that of the service at line"),
    ("nexthop = true\nservice 80 { trunk = 81 parallel = 2 }",
     "parallel with nexthop, expected one of them"),
])
def test_what_an_agent_cannot_end_is_refused(net, gateway, family, tmp_path, line, said):
    policy(gateway)
    agent = Agent(gateway, family)
    agent.configure(line + "\n")
    done = net.remote.run(AGENT, "--check", "-c", agent.config, check=False)
    assert done.returncode == 1
    assert said in done.stderr


def test_a_trunk_port_in_use_is_told_and_changes_nothing(net, listening, family):
    listener = net.remote.listen(family, family.remote, TRUNK)
    agent = Agent(listening, family)
    agent.configure(service(SERVICE, **PARALLEL))
    done = net.remote.run(AGENT, "-c", agent.config, check=False)
    assert done.returncode == 1
    assert f"trunk of service {SERVICE}: cannot listen on" in done.stderr
    assert "another program does" in done.stderr
    agent = announce(listening, family, SERVICE)
    agent.reload(service(SERVICE, **PARALLEL))
    agent.says("not reloaded, the old configuration stays in force")
    near, far = net.connection(family, SERVICE)
    echo(near, far)
    listener.close()

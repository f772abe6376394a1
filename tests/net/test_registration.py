# SPDX-License-Identifier: GPL-2.0
"""Remotes register themselves: sluice-agent, the registrar, and what main makes of it."""
import contextlib
import json
import os
import re
import resource
import select
import signal
import threading
import time

import pytest

from agent import (AGENT, LEASE, REGISTRAR_PORT, Agent, Talker, policy, registered, registrar,
                   service, wait_registered)
from gateway import alive, holds, serve
from rig import IPV4, IPV6, SOCKET_TIMEOUT, echo, receive_all, resident_bytes, wait_for

pytestmark = pytest.mark.stealing


def processes(gateway):
    """Whom no agent, good or bad, may disturb: relays, and the registrar's restarts."""
    status = gateway.show("status")
    return [(relay["pid"], relay["restarts"]) for relay in status["relays"]], \
        status["registrar"]["restarts"]


@pytest.fixture
def open_gateway(gateway, request):
    """A gateway with the identity "site", for all of the remote; whatever a test says to it,
    its processes are the same in the end, unless the test is marked `kills`."""
    gateway.start(registrar(), policy(gateway))
    before = processes(gateway)
    yield gateway
    if not request.node.get_closest_marker("kills"):
        assert gateway.process.running(), "main is gone"
        assert processes(gateway) == before


def taken(net, gateway, family, port):
    """Whether a new connection to the remote is taken; it must work in any case."""
    near, far = net.connection(family, port)
    echo(near, far)
    result = gateway.took(far, family)
    near.close()
    far.close()
    return result


# ---- the main thing ----

@pytest.mark.smoke
def test_a_registered_service_is_taken_and_shown(net, open_gateway, family):
    gateway = open_gateway
    assert not taken(net, gateway, family, 5000)
    Agent(gateway, family).start(service(5000), service(5001, trunk=5001, rate="100mbit"))
    wait_registered(gateway, family.remote, 5000, 5001)
    near, far = net.connection(family, 5000)
    echo(near, far)
    assert gateway.took(far, family)
    assert not taken(net, gateway, family, 5002)

    entry = registered(gateway, family.remote, 5001)
    assert (entry["identity"], entry["origin"], entry["trunk_port"]) == ("site", "agent", 5001)
    assert 0 < entry["expires_s"] <= LEASE
    proxy = [one for one in gateway.show("proxies")["proxies"]
             if one["address"] == family.remote][0]
    assert (proxy["identity"], proxy["ports"], proxy["agent"]) == ("site", 2, "0.1.0")
    assert proxy["path"]["rtt_us"] > 0 and {"delivery_bps", "retrans"} <= set(proxy["path"])
    assert gateway.flow_of(near)["identity"] == "site"
    values = {one["id"]: one["values"] for one in gateway.show("params")["params"]}
    assert values[entry["params"]]["rate"] == "100mbit"
    assert "rtt" in values[entry["params"]], "the path's round trip stands in for the agent's"


def test_sigterm_withdraws(net, open_gateway, family):
    gateway = open_gateway
    agent = Agent(gateway, family).start(service(5000))
    wait_registered(gateway, family.remote, 5000)
    assert agent.stop() == 0
    assert not registered(gateway, family.remote, 5000)
    assert gateway.counters()["withdrawn"] == 1
    assert not taken(net, gateway, family, 5000)


def test_a_renewed_service_outlives_its_lease(net, open_gateway, family):
    gateway = open_gateway
    Agent(gateway, family).start(service(5000))
    wait_registered(gateway, family.remote, 5000)
    end = time.monotonic() + 2.5 * LEASE
    while time.monotonic() < end:
        assert taken(net, gateway, family, 5000)
        time.sleep(0.1)
    assert gateway.counters()["renewed"] >= 3
    assert gateway.counters()["expired"] == 0


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


def test_no_connection_fails_when_the_agent_is_killed(net, open_gateway, family):
    """After the lease connections go straight; what runs goes on."""
    gateway = open_gateway
    agent = Agent(gateway, family).start(service(5000), service(5001))
    wait_registered(gateway, family.remote, 5000, 5001)
    near, far = net.connection(family, 5001)
    with Knocker(net, gateway, family, 5000) as knocker:
        wait_for(lambda: knocker.taken and knocker.taken[-1], "connections are taken")
        agent.kill()
        wait_for(lambda: not knocker.taken[-1], "connections go straight", 15 * LEASE)
        time.sleep(0.2)
    assert not knocker.failed, knocker.failed
    assert knocker.taken == sorted(knocker.taken, reverse=True), "taken, straight, taken again"
    assert gateway.counters()["expired"] == 2
    echo(near, far)
    assert registered(gateway, family.remote, 5001, "draining")


def test_an_agent_that_is_back_within_the_lease_keeps_its_entries(net, gateway, family):
    gateway.start(registrar(lease=30), policy(gateway))
    agent = Agent(gateway, family).start(service(5000))
    wait_registered(gateway, family.remote, 5000)
    with Knocker(net, gateway, family, 5000) as knocker:
        agent.kill()
        Agent(gateway, family).start(service(5000))
        wait_for(lambda: gateway.counters()["changed"], "the agent is back")
    assert not knocker.failed and all(knocker.taken)


def test_sighup_adds_and_withdraws_while_connected(net, open_gateway, family):
    gateway = open_gateway
    agent = Agent(gateway, family).start(service(5000), service(5001))
    wait_registered(gateway, family.remote, 5000, 5001)
    before = gateway.counters()["connections"]
    agent.reload(service(5001, flow_control="reno"), service(5002))
    wait_registered(gateway, family.remote, 5002)
    wait_for(lambda: not registered(gateway, family.remote, 5000), "5000 is withdrawn")
    near, far = net.connection(family, 5001)
    echo(near, far)
    assert gateway.flow_of(near)["wan"]["cc"] == "reno"
    assert gateway.counters()["connections"] == before


def test_sighup_with_a_bad_file_keeps_the_old_one(net, open_gateway, family):
    gateway = open_gateway
    agent = Agent(gateway, family).start(service(5000))
    wait_registered(gateway, family.remote, 5000)
    agent.reload("service 99999 { }\n")
    agent.says(f"{agent.config}:")
    agent.says("old configuration stays")
    time.sleep(1.5 * LEASE)
    assert taken(net, gateway, family, 5000)


def test_agents_are_back_after_the_gateway_was_restarted(net, gateway, family):
    gateway.start(registrar(), policy(gateway))
    Agent(gateway, family).start(service(5000))
    wait_registered(gateway, family.remote, 5000)
    assert gateway.stop() == 0
    gateway.start(registrar(), policy(gateway))
    wait_registered(gateway, family.remote, 5000)
    assert taken(net, gateway, family, 5000)


def test_one_agent_serves_several_gateways(net, open_gateway, family):
    """Here one gateway under two names; the second is another connection of the identity."""
    gateway = open_gateway
    agent = Agent(gateway, family).start(service(5000), registrars=[
        family.at(family.wan, REGISTRAR_PORT), family.at(family.lan, REGISTRAR_PORT)])
    agent.says("gateway gw0: registered")
    agent.says("gateway gw1: registered")
    assert taken(net, gateway, family, 5000)


def test_a_site_router_registers_for_the_servers_behind_it(net, gateway, family):
    """The address is the gateway's next hop; the remote behind it knows nothing of it."""
    gateway.start(registrar(), policy(gateway, addresses=[IPV4.router, IPV6.router]))
    Agent(gateway, family, namespace=net.wan).start(
        service(5000), addresses=[family.router], nexthop=True)
    wait_registered(gateway, family.router, 5000)
    assert registered(gateway, family.router, 5000)["nexthop"]
    assert taken(net, gateway, family, 5000)
    assert not taken(net, gateway, family, 5001)


def connection_to(net, family, address, port):
    """As net.connection(), to another address of the remote."""
    with net.remote.listen(family, address, port) as listener:
        near = net.client.connect(family, address, port)
        far, _ = listener.accept()
    net.remote.sockets.append(far)
    far.settimeout(SOCKET_TIMEOUT)
    return near, far


def test_one_site_router_serves_three_servers_and_none_of_another(net, gateway, family):
    """The fourth has the same network, but the gateway reaches it by another next hop."""
    servers = [f"{family.remote}{last}" for last in range(1, 4)]
    elsewhere = f"{family.remote}4"
    other_router = f"{family.router}9"
    # addresses as well as routes are taken back: the network is the module's
    net.wan.ip(f"address add {family.with_bits(other_router)} dev west")
    net.remote.ip(*(f"address add {family.with_bits(one)} dev eth0"
                    for one in (*servers, elsewhere)))
    net.gateway.ip(f"route add {elsewhere} via {other_router}", family=family)
    try:
        gateway.start(registrar(), policy(gateway, addresses=[family.router]))
        Agent(gateway, family, namespace=net.wan).start(
            service(5000), addresses=[family.router], nexthop=True)
        wait_registered(gateway, family.router, 5000)
        flows = [connection_to(net, family, one, 5000) for one in servers]
        for (near, far), server in zip(flows, servers):
            echo(near, far)
            assert gateway.took(far, family)
            assert near.getpeername()[0] == far.getsockname()[0] == server
        assert {flow["remote"] for flow in gateway.flows()} == \
            {family.at(server, 5000) for server in servers}
        near, far = connection_to(net, family, elsewhere, 5000)
        echo(near, far)
        assert not gateway.took(far, family)
        net.close_sockets()
    finally:
        net.gateway.ip(f"route del {elsewhere} via {other_router}", family=family)
        net.remote.ip(*(f"address del {one}/{family.bits} dev eth0"
                        for one in (*servers, elsewhere)))
        net.wan.ip(f"address del {other_router}/{family.bits} dev west")


# ---- what is refused ----

def test_what_the_policy_does_not_allow_is_refused_by_rule(net, gateway, family):
    """The agent is told the rule; its other services are kept."""
    gateway.start(registrar(), policy(gateway, ports=["5000-5001"]))
    agent = Agent(gateway, family).start(
        service(5000), service(5001, flow_control="nonesuch"), service(6000),
        addresses=[family.remote, family.silent])
    agent.says(f"refuses {family.at(family.remote, 6000)}: port: ")
    agent.says(f"refuses {family.at(family.silent, 5000)}: address: ")
    agent.says("outside the addresses of policy \"site\"")
    wait_registered(gateway, family.remote, 5000)
    counters = gateway.counters()
    assert counters["refused_address"] >= 2 and counters["refused_port"] >= 1
    assert not registered(gateway, family.silent, 5000)
    time.sleep(2.5 * LEASE)
    assert agent.output().count(family.at(family.remote, 6000)) == 1, "told once"
    assert taken(net, gateway, family, 5000)


def test_an_address_belongs_to_the_identity_that_was_first(net, gateway, family):
    gateway.start(registrar(), policy(gateway), policy(gateway, "other"))
    first = Agent(gateway, family).start(service(5000))
    wait_registered(gateway, family.remote, 5000)
    second = Agent(gateway, family, "other").start(service(5000), service(5001))
    second.says('taken: this address is registered by identity "site" already')
    assert 'identity "other" is refused: taken: this address is registered by' in \
        logged(gateway)[0]
    wait_for(lambda: gateway.counters()["refused_taken"] >= 2, "both services are refused")
    assert not registered(gateway, family.remote, 5001)
    assert registered(gateway, family.remote, 5000)["identity"] == "site"
    assert first.stop() == 0
    wait_registered(gateway, family.remote, 5000, 5001)
    assert registered(gateway, family.remote, 5000)["identity"] == "other"


def test_a_static_entry_is_not_an_agents_to_take(net, gateway, family):
    gateway.start(registrar(), policy(gateway), serve(5000))
    agent = Agent(gateway, family).start(service(5000), service(5001))
    agent.says("taken: this address is a static entry")
    assert registered(gateway, family.remote, 5000)["origin"] == "config"


def test_a_static_entry_takes_the_address_from_an_agent(net, open_gateway, family):
    gateway = open_gateway
    agent = Agent(gateway, family).start(service(5000), service(5001))
    wait_registered(gateway, family.remote, 5000, 5001)
    gateway.sluice("add", family.remote, "5000")
    assert registered(gateway, family.remote, 5000)["origin"] == "cli"
    assert not registered(gateway, family.remote, 5001)
    agent.says("taken: this address is a static entry")


@pytest.mark.parametrize("identity, counter", [("site", "wrong_key"),
                                               ("nobody", "unknown_identity")])
def test_without_the_key_nobody_gets_in(net, open_gateway, identity, counter):
    """A wrong key and an unknown identity look the same from outside."""
    gateway = open_gateway
    wrong = os.path.join(gateway.directory, "wrong.key")
    gateway.sluice("keygen", wrong)
    agent = Agent(gateway, IPV4, identity, name="wrong", key=wrong).start(service(5000))
    wait_for(lambda: gateway.counters()[counter] >= 2, "it is refused again and again")
    assert {"wrong_key": 'identity "site" with another key than its policy\'s',
            "unknown_identity": "there is no policy of the name that it gave"}[counter] \
        in logged(gateway)[0]
    assert agent.output().count("TLS failed: is it the right identity and key?") == 1
    assert not gateway.show("ports")["ports"]


def alert_of(gateway, identity, key):
    talker_end = Talker(gateway, IPV4, identity, key)
    talker_end.closed()
    return [line for line in talker_end.process.output().splitlines() if "alert" in line]


def test_a_wrong_key_and_an_unknown_identity_get_the_same_alert(open_gateway):
    wrong = "00" * 32
    alerts = [[line.split(":", 1)[1] for line in alert_of(open_gateway, identity, wrong)]
              for identity in ("site", "nobody")]
    assert alerts[0] and alerts[0] == alerts[1]


HELLO = {"type": "hello", "version": 1, "agent": "test"}
REGISTER = {"type": "register", "id": 1, "address": IPV4.remote, "service": 5000}
BAD = {
    "garbage": [b"\x00\xff\x80 garbage"],
    "truncated": ['{"type":"hello","version":1'],
    "array": ["[1,2,3]"],
    "no-type": ["{}"],
    "unknown-type": [HELLO, {"type": "frobnicate", "id": 1}],
    "no-hello": [REGISTER],
    "second-hello": [HELLO, HELLO],
    "duplicate-key": ['{"type":"hello","type":"hello","version":1}'],
    "deep": ['{"type":"hello","version":1,"x":' + "[" * 9 + "]" * 9 + "}"],
    "no-id": [HELLO, {key: value for key, value in REGISTER.items() if key != "id"}],
    "negative-id": [HELLO, {**REGISTER, "id": -1}],
    "address-no-text": [HELLO, {**REGISTER, "address": 7}],
    "service-no-number": [HELLO, {**REGISTER, "service": "80"}],
    "params-no-object": [HELLO, {**REGISTER, "params": [1]}],
    "params-no-text": [HELLO, {**REGISTER, "params": {"rate": 5}}],
}


@pytest.mark.parametrize("messages", BAD.values(), ids=BAD)
def test_a_bad_message_ends_the_connection(open_gateway, messages):
    gateway = open_gateway
    talker = Talker(gateway, IPV4)
    with gateway.counting(bad_message=1):
        talker.send(*messages)
        error = talker.expect("error")["error"]
    talker.closed()
    assert not gateway.show("ports")["ports"]
    line, = logged(gateway)
    assert f"closed: {error}" in line


def logged(gateway):
    """What the registrar has written to the gateway's log."""
    return [line for line in gateway.output().splitlines() if "registrar: " in line]


def lines_meant(lines):
    """How many there would be without the limit of one a second."""
    return len(lines) + sum(int(more) for line in lines
                            for more in re.findall(r" \(and (\d+) more lines\)$", line))


REFUSED = {
    "outside": ("address", {"address": IPV4.silent}),
    "address": ("address", {"address": "10.2.0.300"}),
    "loopback": ("address", {"address": "127.0.0.1"}),
    "mapped": ("address", {"address": "::ffff:10.2.0.9"}),
    "port-0": ("port", {"service": 0}),
    "port-70000": ("port", {"service": 70000}),
    "trunk": ("port", {"trunk": 0}),
    "rate": ("params", {"params": {"rate": "fast"}}),
    "key": ("params", {"params": {"colour": "red"}}),
    "together": ("params", {"params": {"qos": "cbr"}}),
}


@pytest.mark.parametrize("rule, change", REFUSED.values(), ids=REFUSED)
def test_a_refusal_names_the_rule_and_the_connection_goes_on(open_gateway, rule, change):
    gateway = open_gateway
    talker = Talker(gateway, IPV4)
    talker.hello()
    with gateway.counting(**{f"refused_{rule}": 1, "registered": 1}):
        talker.send({**REGISTER, **change}, {**REGISTER, "id": 2, "unknown key": [{}]})
        why = talker.expect("refused", id=1, rule=rule)["error"]
        talker.expect("ok", id=2)
    line, = logged(gateway)
    assert f'{IPV4.remote}:' in line
    assert f'identity "site" is refused: {rule}: {why}' in line


def test_refusals_are_logged_once_a_second_at_most_and_all_counted(open_gateway):
    gateway = open_gateway
    talker = Talker(gateway, IPV4)
    talker.hello()
    begin = time.monotonic()
    for start in range(1, 601, 100):
        talker.send(*({**REGISTER, "id": n, "service": 0} for n in range(start, start + 100)))
    talker.expect("refused", id=600)
    time.sleep(1.1)  # the pause between lines is what is tested
    talker.send({**REGISTER, "id": 601, "address": IPV4.silent})
    talker.expect("refused", id=601, rule="address")
    lines = logged(gateway)
    assert 2 <= len(lines) <= time.monotonic() - begin + 2, lines
    counters = gateway.counters()
    assert (counters["refused_port"], counters["refused_address"]) == (600, 1)
    assert lines_meant(lines) == 601, lines


def test_versions_and_features_that_are_not_known_are_refused(open_gateway):
    gateway = open_gateway
    with gateway.counting(bad_version=1, refused_feature=1):
        talker = Talker(gateway, IPV4)
        talker.send({**HELLO, "version": 2})
        assert "version 2" in talker.expect("error")["error"]
        talker.closed()
        talker = Talker(gateway, IPV4)
        talker.send({**HELLO, "require": ["nexthop", "teleport"]})
        assert "teleport" in talker.expect("error")["error"]
        talker.closed()
    talker = Talker(gateway, IPV4)
    hello = talker.hello(require=["nexthop"], offer=["teleport"])
    assert (hello["version"], hello["lease_s"]) == (1, LEASE)


def test_silence_ends_the_connection(open_gateway):
    talker = Talker(open_gateway, IPV4)
    talker.hello()
    with open_gateway.counting(idle_timeout=1):
        talker.expect("error")
    talker.closed()


# ---- who is up to no good ----

def registrar_pid(gateway):
    return gateway.show("status")["registrar"]["pid"]


def test_a_line_without_end_is_cut_off(open_gateway):
    gateway = open_gateway
    talker = Talker(gateway, IPV4)
    talker.hello()
    with gateway.counting(line_too_long=1):
        with contextlib.suppress(BrokenPipeError):
            for _ in range(100):
                talker.process.popen.stdin.write(b"x" * (1 << 20))
        talker.closed(30)
    assert resident_bytes(registrar_pid(gateway)) < 16 << 20


def test_who_talks_too_fast_waits(open_gateway):
    gateway = open_gateway
    talker = Talker(gateway, IPV4)
    talker.hello()
    for start in range(0, 1000, 100):
        talker.send(*({"type": "renew", "id": n} for n in range(start + 1, start + 101)))
    wait_for(lambda: len(talker.lines()) == 1001, "all are answered", 20)
    assert [line["id"] for line in talker.lines()[1:]] == list(range(1, 1001))
    assert gateway.counters()["rate_limited"] >= 1


@contextlib.contextmanager
def sources(net, count):
    """So many addresses of the remote in the block, to knock from."""
    addresses = [f"10.2.0.{n}" for n in range(100, 100 + count)]
    net.remote.ip(*(f"address add {address}/24 dev eth0" for address in addresses))
    try:
        yield addresses
    finally:
        net.remote.ip(*(f"address del {address}/24 dev eth0" for address in addresses))


@contextlib.contextmanager
def descriptors(count):
    """So many files may be open in the block."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(count, before[0]), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_idle_connections_cost_little_and_leave_the_door_open(net, open_gateway):
    """10 000 from 125 addresses: bounded in number and memory; agents and flows get through."""
    gateway = open_gateway
    with sources(net, 125) as addresses, descriptors(12_000):
        agent = Agent(gateway, IPV4).start(service(5000))
        wait_registered(gateway, IPV4.remote, 5000)
        before = resident_bytes(registrar_pid(gateway))
        begin = time.monotonic()
        with Knocker(net, gateway, IPV4, 5000) as knocker:
            idle = [net.remote.start_connect(IPV4, IPV4.wan, REGISTRAR_PORT, (source, 0))
                    for source in addresses for _ in range(80)]
            wait_for(lambda: gateway.counters()["connections"] >= 10_000, "all have knocked", 60)
            assert gateway.counters()["too_many_connections"] >= 8_000
            assert resident_bytes(registrar_pid(gateway)) - before < 64 << 20
            wait_for(lambda: gateway.counters()["handshake_timeout"] >= 900, "they are sent away",
                     30)
        assert not knocker.failed and all(knocker.taken)
        late = Agent(gateway, IPV4, name="late").start(service(5002))
        wait_registered(gateway, IPV4.remote, 5002)
        assert agent.process.running() and late.process.running()
        lines = logged(gateway)
        assert 1 <= len(lines) <= time.monotonic() - begin + 2, lines
        for sock in idle:
            sock.close()


def test_half_a_client_hello_from_everybody_costs_little(net, open_gateway):
    """As many as are let in, each with half of the longest record that TLS has."""
    gateway = open_gateway
    hello = b"\x01\x00\x3f\xfc" + b"\x03\x03" + bytes(16378)
    record = b"\x16\x03\x01\x40\x00" + hello
    assert len(record) == 5 + 16384
    with sources(net, 16) as addresses:
        before = resident_bytes(registrar_pid(gateway))
        most = 0
        for source in addresses:
            for _ in range(62):
                sock = net.remote.start_connect(IPV4, IPV4.wan, REGISTRAR_PORT, (source, 0))
                sock.settimeout(SOCKET_TIMEOUT)
                with contextlib.suppress(ConnectionError):  # on a slow machine it was too late
                    sock.sendall(record[:len(record) // 2])
            most = max(most, resident_bytes(registrar_pid(gateway)))
        wait_for(lambda: gateway.counters()["connections"] >= 992, "all have knocked", 30)
        most = max(most, resident_bytes(registrar_pid(gateway)))
        print(f"halves of a ClientHello: {(most - before) >> 10} KiB for 992")
        assert most - before < 96 << 20
        wait_for(lambda: gateway.counters()["handshake_timeout"] == 992, "they are sent away", 30)
        assert gateway.counters()["too_many_connections"] == 0
        assert resident_bytes(registrar_pid(gateway)) - before < 96 << 20
        net.remote.close_sockets()
    Agent(gateway, IPV4).start(service(5000))
    wait_registered(gateway, IPV4.remote, 5000)


def test_one_source_gets_so_many_connections_and_others_still_get_in(net, open_gateway):
    gateway = open_gateway
    for _ in range(100):
        net.client.start_connect(IPV4, IPV4.lan, REGISTRAR_PORT)
    wait_for(lambda: gateway.counters()["too_many_connections"] == 36, "64 of 100 are let in")
    Agent(gateway, IPV4).start(service(5000))
    wait_registered(gateway, IPV4.remote, 5000, timeout=4)


def test_a_message_that_is_cut_off_is_a_bad_one(open_gateway):
    gateway = open_gateway
    talker = Talker(gateway, IPV4)
    talker.hello()
    with gateway.counting(bad_message=1):
        talker.process.popen.stdin.write(json.dumps(REGISTER).encode()[:-1])
        talker.process.popen.stdin.close()
        talker.closed()
    assert "in the middle of a message" in logged(gateway)[0]
    assert not gateway.show("ports")["ports"]


class Recorder(threading.Thread):
    """Stands between an agent and the registrar, passes on what they say, and keeps what
    the agent said."""

    def __init__(self, net, port):
        super().__init__(daemon=True)
        self.net, self.said = net, b""
        self.listener = net.remote.listen(IPV4, IPV4.remote, port)
        self.start()

    def run(self):
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            agent, _ = self.listener.accept()
            stack.callback(agent.close)
            registrar_end = self.net.remote.connect(IPV4, IPV4.wan, REGISTRAR_PORT)
            stack.callback(registrar_end.close)
            while True:
                for sock in select.select([agent, registrar_end], [], [])[0]:
                    part = sock.recv(1 << 16)
                    if not part:
                        return
                    if sock is agent:
                        self.said += part
                        registrar_end.sendall(part)
                    else:
                        agent.sendall(part)


def test_what_an_agent_said_is_worth_nothing_to_who_repeats_it(net, gateway):
    """All of it, and all that it could be cut down to: no registration, no longer lease."""
    gateway.start(registrar(lease=60), policy(gateway))
    recorder = Recorder(net, REGISTRAR_PORT + 1)
    agent = Agent(gateway, IPV4).start(service(5000), registrars=[
        IPV4.at(IPV4.remote, REGISTRAR_PORT + 1)])
    wait_registered(gateway, IPV4.remote, 5000)
    agent.says("registered")
    agent.kill()
    recorder.join()
    said = recorder.said
    assert len(said) > 500
    pid, entry = registrar_pid(gateway), registered(gateway, IPV4.remote, 5000)
    counted = ("registered", "changed", "renewed", "withdrawn")
    before = [gateway.counters()[name] for name in counted]

    with gateway.counting(tls_failed=1):
        sock = net.remote.connect(IPV4, IPV4.wan, REGISTRAR_PORT)
        sock.sendall(said)
        with contextlib.suppress(ConnectionResetError):
            receive_all(sock)  # until the registrar closes
        sock.close()
    with gateway.counting(tls_failed=20):
        for part in range(20):
            sock = net.remote.connect(IPV4, IPV4.wan, REGISTRAR_PORT)
            sock.sendall(said[:part * len(said) // 20])
            sock.close()
    assert [gateway.counters()[name] for name in counted] == before
    only, = gateway.show("ports")["ports"]
    assert 0 < only.pop("expires_s") <= entry.pop("expires_s")
    assert only == entry
    assert registrar_pid(gateway) == pid
    assert gateway.show("status")["registrar"]["restarts"] == 0
    assert lines_meant(logged(gateway)) <= 21


# ---- the process ----

def test_the_registrar_is_shut_in(open_gateway):
    pid = registrar_pid(open_gateway)
    wait_for(lambda: open_gateway.show("status")["registrar"]["state"] == "serving", "it serves")
    with open(f"/proc/{pid}/status") as text:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in text)
    assert all(int(user) != 0 for user in status["Uid"].split())
    assert all(int(status[name], 16) == 0
               for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"))
    assert (status["Seccomp"], status["NoNewPrivs"]) == ("2", "1")
    assert os.listdir(f"/proc/{pid}/root") == []
    with open(f"/proc/{pid}/maps") as maps:
        assert sum("rw-s" in line for line in maps) == 1, "shares its counters with main, no more"
    kinds = sorted(os.readlink(f"/proc/{pid}/fd/{fd}").split(":")[0]
                   for fd in os.listdir(f"/proc/{pid}/fd") if int(fd) > 2)
    assert kinds == ["anon_inode", "socket", "socket"], kinds


@pytest.mark.kills
def test_a_killed_registrar_comes_back_and_so_do_its_agents(net, open_gateway, family):
    gateway = open_gateway
    Agent(gateway, family).start(service(5000))
    wait_registered(gateway, family.remote, 5000)
    pid = registrar_pid(gateway)
    with Knocker(net, gateway, family, 5000) as knocker:
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not alive(pid) and gateway.counters()["changed"], "it is back")
        time.sleep(1.5 * LEASE)
    assert not knocker.failed and all(knocker.taken)
    assert gateway.show("status")["registrar"]["restarts"] == 1


def test_no_relay_has_a_key(open_gateway):
    """Keys are in the memory of main and registrar alone."""
    gateway = open_gateway
    with open(os.path.join(gateway.directory, "site.key")) as text:
        key = bytes.fromhex(text.read())

    assert holds(gateway.process.pid, key) and holds(registrar_pid(gateway), key)
    assert not any(holds(pid, key) for pid in gateway.relays())


# ---- policies at work ----

def test_an_identity_has_no_more_flows_than_its_policy_allows(net, gateway, family):
    gateway.start(registrar(), policy(gateway, max_flows=2))
    Agent(gateway, family).start(service(5000))
    wait_registered(gateway, family.remote, 5000)
    flows = [net.connection(family, 5000) for _ in range(2)]
    wait_for(lambda: registered(gateway, family.remote, 5000, "full"), "it is full")
    with gateway.counting(identity_full=1):
        assert not taken(net, gateway, family, 5000)
    said = gateway.sluice("explain", family.client, family.at(family.remote, 5000)).stdout
    assert "all the flows" in said
    for near, far in flows:
        echo(near, far)
        near.close()
        far.close()
    wait_registered(gateway, family.remote, 5000)
    assert taken(net, gateway, family, 5000)


def test_an_identity_with_all_its_flows_registers_nothing_more(net, gateway):
    """What it has it may change."""
    gateway.start(registrar(), policy(gateway, max_flows=1))
    talker = Talker(gateway, IPV4)
    talker.hello()
    talker.send(REGISTER)
    talker.expect("ok", id=1)
    near, far = net.connection(IPV4, 5000)
    wait_for(lambda: registered(gateway, IPV4.remote, 5000, "full"), "it is full")
    with gateway.counting(refused_flows=1, changed=1):
        talker.send({**REGISTER, "id": 2, "service": 5001}, {**REGISTER, "id": 3})
        why = talker.expect("refused", id=2, rule="flows")["error"]
        talker.expect("ok", id=3)
    assert f"is refused: flows: {why}" in logged(gateway)[0]
    echo(near, far)
    near.close()
    far.close()
    wait_registered(gateway, IPV4.remote, 5000)
    talker.send({**REGISTER, "id": 4, "service": 5001})
    talker.expect("ok", id=4)


def test_a_policy_that_is_gone_takes_its_entries_with_it(net, gateway, family):
    other = policy(gateway, "other", addresses=["192.0.2.0/24"])
    gateway.start(registrar(), policy(gateway), other)
    Agent(gateway, family).start(service(5000), service(5001))
    wait_registered(gateway, family.remote, 5000, 5001)
    near, far = net.connection(family, 5001)
    gateway.configure(registrar(), other)
    with gateway.counting(revoked=2):
        gateway.sluice("reload")
    assert not registered(gateway, family.remote, 5000)
    assert registered(gateway, family.remote, 5001, "draining")
    assert not taken(net, gateway, family, 5000)
    echo(near, far)
    wait_for(lambda: gateway.counters()["unknown_identity"], "the agent does not get in")
    gateway.configure(registrar(), other, policy(gateway))
    gateway.sluice("reload")
    wait_registered(gateway, family.remote, 5000, 5001)


def test_a_narrower_policy_takes_what_it_does_not_allow(net, gateway, family):
    gateway.start(registrar(), policy(gateway))
    agent = Agent(gateway, family).start(service(5000), service(5001))
    wait_registered(gateway, family.remote, 5000, 5001)
    pid = registrar_pid(gateway)
    gateway.configure(registrar(), policy(gateway, ports=[5001]))
    with gateway.counting(revoked=1, refused_lease=1, refused_port=(1,)):
        gateway.sluice("reload")
        assert not registered(gateway, family.remote, 5000)
        agent.says(f"refuses {family.at(family.remote, 5000)}: port: ")
    assert 'identity "site" is refused: lease: some services were withdrawn' in \
        logged(gateway)[0]
    assert registered(gateway, family.remote, 5001)
    assert registrar_pid(gateway) == pid, "nothing that the registrar knows has changed"


# ---- keys and files ----

def test_keygen_makes_a_key_once(gateway):
    path = os.path.join(gateway.directory, "new.key")
    gateway.sluice("keygen", path)
    assert os.stat(path).st_mode & 0o777 == 0o600
    with open(path) as text:
        first = text.read()
    assert len(bytes.fromhex(first)) == 32
    done = gateway.sluice("keygen", path, check=False)
    assert done.returncode == 1 and "exists" in done.stderr
    other = gateway.sluice("keygen").stdout
    assert len(bytes.fromhex(other)) == 32 and other != first


def test_a_key_that_others_can_read_is_refused(gateway):
    section = policy(gateway)
    os.chmod(os.path.join(gateway.directory, "site.key"), 0o640)
    gateway.configure(registrar(), section)
    done = gateway.try_start()
    assert done.returncode == 1
    assert "chmod 600" in done.stderr and f"{gateway.config}:" in done.stderr


def test_an_address_in_use_is_said_at_the_start(net, gateway):
    net.gateway.listen(IPV4, "0.0.0.0", REGISTRAR_PORT)
    gateway.configure('registrar { listen = "0.0.0.0:7471" }\n', policy(gateway))
    done = gateway.try_start()
    assert done.returncode == 1
    assert "0.0.0.0:7471" in done.stderr and "in use" in done.stderr


def test_the_agents_check_reports_every_mistake(gateway, net):
    agent = Agent(gateway, IPV4, key=os.path.join(gateway.directory, "none.key"))
    agent.configure("service 0 { }\nservice 80 { rate = fast }\n")
    done = net.remote.run(AGENT, "-c", agent.config, "--check", check=False)
    assert done.returncode == 1
    assert len([line for line in done.stderr.splitlines()
                if line.startswith(f"{agent.config}:")]) == 3, done.stderr

# SPDX-License-Identifier: GPL-2.0
"""What the registrar is told, by agents with and without a key, and what it makes of it."""
import contextlib
import json
import os
import resource
import select
import threading
import time

import pytest

from agent import (LEASE, REGISTER, REGISTRAR_PORT, Agent, Talker, lines_meant, logged, policy,
                   registered, registrar, registrar_pid, service, wait_registered)
from gateway import holds
from peer import Knocker
from rig import IPV4, SOCKET_TIMEOUT, receive_all, resident_bytes, wait_for

pytestmark = pytest.mark.stealing


# ---- who has no key ----

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


# ---- what is badly said ----

HELLO = {"type": "hello", "version": 1, "agent": "test"}
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


def test_no_relay_has_a_key(open_gateway):
    """Keys are in the memory of main and registrar alone."""
    gateway = open_gateway
    with open(os.path.join(gateway.directory, "site.key")) as text:
        key = bytes.fromhex(text.read())

    assert holds(gateway.process.pid, key) and holds(registrar_pid(gateway), key)
    assert not any(holds(pid, key) for pid in gateway.relays())

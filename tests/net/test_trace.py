# SPDX-License-Identifier: GPL-2.0
"""sluice trace: what happens to a connection, in the order in which it happens."""
import json
import os
import signal
import socket

import pytest

from gateway import SLUICE, serve
from peer import carry
from rig import IPV4, echo, reset, wait_for

pytestmark = pytest.mark.stealing


class Trace:
    """`sluice trace -j` while it runs."""

    def __init__(self, gateway, client, remote, *argv):
        self.process = gateway.namespace.spawn(SLUICE, "--run-dir", gateway.run_dir, "trace",
                                               client, remote, "-j", *argv)
        wait_for(lambda: "ready" in self.names(), "the trace is ready")

    def events(self):
        return [json.loads(line) for line in self.process.output().splitlines()
                if line.startswith("{")]

    def names(self):
        return [event["event"] for event in self.events()]

    def until(self, name):
        """All events up to the first of that name."""
        wait_for(lambda: name in self.names(), f"{name} is told, so far: {self.events()}")
        return self.events()[1:self.names().index(name) + 1]


def close_in_order(near, far):
    near.shutdown(socket.SHUT_WR)
    assert far.recv(1) == b""
    far.close()
    assert near.recv(1) == b""
    near.close()


def test_a_connection_from_its_syn_to_its_end(net, gateway, family):
    gateway.start(serve(5000))
    trace = Trace(gateway, family.client, family.at(family.remote, 5000), "-n", 1)
    near, far = net.connection(family, 5000)
    client = near.getsockname()[1]
    echo(near, far)
    trace.until("first-down")
    close_in_order(near, far)
    events = trace.until("ended")
    names = [event["event"] for event in events if event["event"] != "engine"]
    assert names == ["syn-held", "wan-connect", "wan-connected", "syn-given-back", "lan-accepted",
                     "joined", "first-up", "first-down", "up-closed", "down-closed", "closing",
                     "ended"]
    assert all(event["client"] == family.at(family.client, client) for event in events)
    assert len({event["flow"] for event in events}) == 1
    assert [event["ms"] for event in events] == sorted(event["ms"] for event in events)
    assert events[-1]["code"] == "--"
    assert (events[-1]["up"], events[-1]["down"]) == (17, 17)
    assert trace.process.wait() == 0, "with -n 1 it ends with the flow"


def test_connect_early_is_told_in_its_own_order(net, gateway, family):
    gateway.start(serve(5000, connect="early"))
    trace = Trace(gateway, family.client, family.at(family.remote, 5000))
    near, far = net.connection(family, 5000)
    echo(near, far)
    names = [event["event"] for event in trace.until("joined")]
    assert names[:2] == ["syn-early", "wan-connect"]
    assert sorted(names[2:]) == ["joined", "lan-accepted", "wan-connected"]


def test_where_a_connection_gets_stuck(net, gateway, family):
    """The remote does not answer: the trace ends in wan-connect."""
    gateway.start(serve(5000, address=family.blackhole))
    trace = Trace(gateway, family.client, family.at(family.blackhole, 5000))
    net.client.start_connect(family, family.blackhole, 5000)
    trace.until("wan-connect")
    assert trace.names()[1:] == ["syn-held", "wan-connect"]


def test_a_refusal(net, gateway, family):
    gateway.start(serve(5000))
    trace = Trace(gateway, family.client, family.at(family.remote, 5000), "-n", 1)
    with pytest.raises(ConnectionRefusedError):
        net.client.connect(family, family.remote, 5000)
    events = trace.until("ended")
    assert [event["event"] for event in events] == ["syn-held", "wan-connect", "client-told",
                                                    "ended"]
    assert (events[-1]["code"], events[-1]["end"]) == ("RS", "refused")


def test_a_slow_answer_is_seen_in_the_times(net, gateway, family):
    gateway.start(serve(5000))
    trace = Trace(gateway, family.client, family.at(family.remote, 5000))
    with net.slow(there=0.3):
        net.connection(family, 5000)
        events = {event["event"]: event for event in trace.until("joined")}
    assert events["wan-connect"]["ms"] < events["wan-connected"]["ms"] - 250


def test_a_flow_that_runs_already_and_who_resets_it(net, gateway, family):
    gateway.start(serve(5000))
    near, far = net.connection(family, 5000)
    carry(near, far, 10_000)
    name = family.at(family.client, near.getsockname()[1])
    trace = Trace(gateway, name, family.at(family.remote, 5000))
    first, = trace.until("running")
    assert (first["up"], first["client"]) == (10_000, name)
    reset(far)
    assert trace.until("ended")[-1]["code"] == "RO"
    assert trace.process.wait() == 0, "with a client's port it ends with that flow"


def test_others_are_not_told_of(net, gateway):
    gateway.start(serve(5000, 5001))
    trace = Trace(gateway, IPV4.client, IPV4.at(IPV4.remote, 5000), "-n", 1)
    echo(*net.connection(IPV4, 5001))
    near, far = net.connection(IPV4, 5000)
    echo(near, far)
    close_in_order(near, far)
    assert {event["remote"] for event in trace.until("ended")} == {IPV4.at(IPV4.remote, 5000)}


def test_any_client_and_several_traces_at_once(net, gateway, family):
    gateway.start(serve(5000))
    remote = family.at(family.remote, 5000)
    traces = [Trace(gateway, "*", remote), Trace(gateway, family.client, remote),
              Trace(gateway, "*", remote)]
    flows = [net.connection(family, 5000) for _ in range(3)]
    for near, far in flows:
        echo(near, far)
    for trace in traces:
        wait_for(lambda each=trace: each.names().count("joined") == 3, "all three are told of")


def test_a_trace_that_is_interrupted_is_over(net, gateway, family):
    """More than there can be at once, one after the other."""
    gateway.start(serve(5000))
    remote = family.at(family.remote, 5000)
    for _ in range(10):
        trace = Trace(gateway, "*", remote)
        trace.process.kill(signal.SIGINT)
        trace.process.wait()
    near, far = net.connection(family, 5000)
    echo(near, far)


def test_no_more_than_eight_at_once(net, gateway):
    gateway.start(serve(5000))
    for _ in range(8):
        Trace(gateway, "*", "10.2.0.2:5000")
    done = gateway.sluice("trace", "*", "10.2.0.2:5000", check=False)
    assert done.returncode == 1 and "8 traces" in done.stderr


def test_a_relay_that_was_started_anew_is_in_the_trace(net, gateway, family):
    gateway.start(serve(5000), workers=1)
    trace = Trace(gateway, "*", family.at(family.remote, 5000))
    before, = gateway.relays()
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: gateway.relays() not in ([], [before]), "it is started again")

    def taken():
        near, far = net.connection(family, 5000, timeout=10)
        return far.getpeername()[0] == family.wan

    wait_for(taken, "connections are taken again")
    trace.until("joined")


def test_a_reader_that_does_not_read_holds_up_nobody(net, gateway):
    gateway.start(serve(5000))
    trace = Trace(gateway, "*", "10.2.0.2:5000")
    trace.process.kill(signal.SIGSTOP)
    with net.remote.listen(IPV4, IPV4.remote, 5000) as listener:
        for _ in range(500):
            near = net.client.connect(IPV4, IPV4.remote, 5000)
            far, _ = listener.accept()
            far.close()
            near.close()
    assert gateway.show("status")["state"] == "running"
    trace.process.kill(signal.SIGCONT)
    wait_for(lambda: trace.names().count("ended") > 10, "it reads on")


def test_the_end_of_the_daemon_is_told(net, gateway):
    gateway.start(serve(5000))
    trace = Trace(gateway, "*", "10.2.0.2:5000")
    gateway.expect_exit = True
    assert gateway.stop() == 0
    assert trace.process.wait() == 0
    assert "the gateway stops" in trace.process.output()


def test_a_trace_for_people(net, gateway, family):
    gateway.start(serve(5000))
    remote = family.at(family.remote, 5000)
    process = gateway.namespace.spawn(SLUICE, "--run-dir", gateway.run_dir, "trace",
                                      family.client, remote, "-n", 1)
    wait_for(lambda: "waiting" in process.output(), "it waits")
    traced = wait_for(lambda: net.connection(family, 5000), "a connection")
    wait_for(lambda: "joined" in process.output(), f"it is told: {process.output()}")
    close_in_order(*traced)
    assert process.wait() == 0
    assert "both legs are gone: -- closed, 0 bytes up, 0 down" in process.output()


def test_what_is_not_taken_is_said_at_once(net, gateway, family):
    gateway.start(serve(5000))
    process = gateway.namespace.spawn(SLUICE, "--run-dir", gateway.run_dir, "trace",
                                      family.client, family.at(family.remote, 5001))
    wait_for(lambda: "forwarded now (no_port)" in process.output(), "it is said")


@pytest.mark.parametrize("argv", [[], ["10.1.0.2"], ["10.1.0.300", "10.2.0.2:80"],
                                  ["10.1.0.2", "10.2.0.2"], ["10.1.0.2", "10.2.0.2:80", "-n", "0"]],
                         ids=lambda argv: " ".join(argv) or "nothing")
def test_wrong_usage(gateway, argv):
    gateway.start(serve(5000))
    assert gateway.sluice("trace", *argv, check=False).returncode == 2

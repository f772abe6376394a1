# SPDX-License-Identifier: GPL-2.0
"""
What becomes of trunks that the agent ends when something is wrong: processes
that hang or die, queues that are full, connections that are lost, reloads.
"""
import contextlib
import os
import resource
import signal
import time

import pytest

from agent import announce, key_file, service
from gateway import holds
from peer import Task, carry
from rig import echo, receive, wait_for
from test_close import assert_reset
from test_parallel import (ENDED, KINDS, MIB, PARALLEL, SERVICE, TRUNK, agent_children, by_agent,
                           listening, numbers, stopped, trunk_ends, wait_connections, wan_legs)

pytestmark = pytest.mark.stealing

__all__ = ["listening"]  # a fixture


def wait_no_listener(net):
    wait_for(lambda: not net.remote.run("ss", "-Hltn", f"sport = :{TRUNK}").stdout,
             "nobody listens at the trunk port")


def is_straight(far, family):
    return far.getpeername()[0] == family.client


# ---- nobody answers ----

@KINDS
def test_a_trunk_whose_process_hangs_is_no_black_hole(net, listening, family, kind):
    """The kernel goes on accepting for it; the client gets the application itself."""
    agent = announce(listening, family, SERVICE, **kind)
    with stopped(agent_children(agent)), listening.counting(forwarded=1):
        near, far = net.connection(family, SERVICE)
        echo(near, far)
    assert is_straight(far, family)
    near, far = net.connection(family, SERVICE)
    assert by_agent(net, far)


def test_a_trunk_with_a_full_queue_is_no_black_hole(net, listening, family):
    with net.remote.entered(), open("/proc/sys/net/core/somaxconn") as text:
        longest = text.read()
    net.remote.sysctl(core__somaxconn=1)
    try:
        agent = announce(listening, family, SERVICE, **ENDED)
    finally:
        net.remote.sysctl(core__somaxconn=longest)
    with stopped(agent_children(agent)), listening.counting(forwarded=1):
        for _ in range(4):
            net.wan.start_connect(family, family.remote, TRUNK)
        wait_for(lambda: net.remote.run("ss", "-Hltn", f"sport = :{TRUNK}").stdout.split()[1]
                 == "2", "the queue is full")
        near, far = net.connection(family, SERVICE)
        echo(near, far)
    assert is_straight(far, family)


@KINDS
def test_an_agent_killed_while_it_is_asked_leaves_the_application(net, listening, family, kind):
    agent = announce(listening, family, SERVICE, **kind)
    with listening.counting(forwarded=1):
        with stopped(agent_children(agent)):
            connecting = Task(net.connection, family, SERVICE)
            wait_for(lambda: wan_legs(net), "the trunk's connection is up")
            agent.kill()
            near, far = connecting.result()
    echo(near, far)
    assert is_straight(far, family)


# ---- connections that are lost ----

@contextlib.contextmanager
def cut(net):
    """Nothing of the trunk gets through."""
    net.wan.run("nft", "-f", "-", input="table inet cut { chain forward { "
                f"type filter hook forward priority 0; tcp sport {TRUNK} drop; "
                f"tcp dport {TRUNK} drop; }}; }}")
    try:
        yield
    finally:
        net.wan.run("nft", "delete", "table", "inet", "cut")


def test_a_remote_that_has_forgotten_all_connections_is_a_reset(net, listening, family):
    """As after a crash: MPTCP says nothing to its user, and would wait for a minute."""
    agent = announce(listening, family, SERVICE, **PARALLEL)
    near, far = net.connection(family, SERVICE)
    wait_connections(net, listening, near, 4)
    with listening.counting(reset_by_remote=1):
        with cut(net):
            for pid in agent_children(agent):
                os.kill(pid, signal.SIGKILL)
            assert_reset(far)
            near.sendall(b"into the void")
        assert_reset(near)


def test_a_flow_that_lost_all_connections_gets_new_ones_and_the_whole_rate(
        alone, net, listening, family):
    """alone: daemons of one host share the count of connections, whatever their version."""
    announce(listening, family, SERVICE, rate="80mbit", rtt="50ms", flow_control="cubic",
             **PARALLEL)
    near, far = net.connection(family, SERVICE)
    wait_connections(net, listening, near, 4)
    with stopped(listening.relays()):
        net.remote.run("ss", "-K", "-t", "sport", f"= :{TRUNK}")
        wait_for(lambda: not trunk_ends(net) and not wan_legs(net), "all are gone")
    wait_connections(net, listening, near, 4)

    def paced_alike():
        carry(near, far, MIB)
        carry(far, near, MIB)
        return {rate for lines in (wan_legs(net), trunk_ends(net))
                for rate in numbers(r"pacing_rate (\d+)bps", lines)} == {20_000_000}
    wait_for(paced_alike, "every connection has a quarter of the rate", 60)


# ---- the process, and what it may ----

def cpu_ticks(pid):
    with open(f"/proc/{pid}/stat") as stat:
        return sum(map(int, stat.read().rpartition(")")[2].split()[11:13]))


def test_a_process_that_takes_no_more_connections_sleeps(net, listening, family):
    """Its port is another process's now, at which connections wait."""
    agent = announce(listening, family, SERVICE, **PARALLEL)
    near, far = net.connection(family, SERVICE)
    echo(near, far)
    old, = agent_children(agent)
    agent.reload(service(SERVICE, trunk=TRUNK, parallel=2))
    agent.says("reloaded: 1 services")
    with stopped([pid for pid in agent_children(agent) if pid != old]):
        for _ in range(3):
            net.wan.connect(family, family.remote, TRUNK)
        before = cpu_ticks(old)
        time.sleep(1)  # of which it may not use a fifth
        assert cpu_ticks(old) - before < os.sysconf("SC_CLK_TCK") / 5
    echo(near, far)


def test_the_trunks_process_has_no_key(net, listening, family):
    """Nor when it is started while the agent speaks with its gateways."""
    agent = announce(listening, family, SERVICE, **PARALLEL)
    with open(key_file(listening, agent.identity)) as text:
        key = bytes.fromhex(text.read())
    first = agent_children(agent)
    os.kill(first[0], signal.SIGKILL)
    wait_for(lambda: agent_children(agent) not in ([], first), "it is started again")
    near, far = net.connection(family, SERVICE)
    assert by_agent(net, far)
    echo(near, far)
    assert holds(agent.process.pid, key)
    assert not any(holds(pid, key) for pid in agent_children(agent))


def test_a_low_limit_of_descriptors_is_raised_as_far_as_it_goes(net, listening, family):
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (600, limits[1]))
    try:
        announce(listening, family, SERVICE, **ENDED)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    pairs = [net.connection(family, SERVICE) for _ in range(20)]
    assert all(by_agent(net, far) for _, far in pairs)


# ---- reload ----

def buffers(net, family):
    """Receive and send buffer of a new connection at the trunk, where nothing came in yet."""
    near, far = net.connection(family, SERVICE)
    assert by_agent(net, far)
    line, = trunk_ends(net)
    near.close()
    far.close()
    wait_for(lambda: not trunk_ends(net), "it is closed")
    return numbers(r"\brb(\d+)", [line]) + numbers(r"\btb(\d+)", [line])


def test_a_reload_forgets_parameters_that_are_gone(net, listening, family):
    agent = announce(listening, family, SERVICE, **ENDED)
    plain = buffers(net, family)
    agent.reload(service(SERVICE, window="2MiB", **ENDED))
    wait_for(lambda: buffers(net, family) == [4 * MIB] * 2, "the window's buffers")
    agent.reload(service(SERVICE, **ENDED))
    wait_for(lambda: buffers(net, family) == plain, "the kernel's buffers again")


def test_a_reload_that_fails_changes_nothing(net, listening, family):
    agent = announce(listening, family, SERVICE, **ENDED)
    plain = buffers(net, family)
    with net.remote.listen(family, family.remote, TRUNK + 1):
        agent.reload(service(SERVICE, window="2MiB", **ENDED) +
                     service(SERVICE + 1, trunk=TRUNK + 1, end_trunk="true"))
        agent.says("not reloaded, the old configuration stays in force")
    for _ in range(4):
        assert buffers(net, family) == plain


def test_a_trunk_that_goes_while_its_process_is_dead_stays_away(net, listening, family):
    agent = announce(listening, family, SERVICE, **PARALLEL)
    dead = "was killed by signal 9"
    for count in range(1, 9):  # each time it is started later, in the end 1.28 s
        wait_for(lambda: agent_children(agent), "it runs")
        os.kill(agent_children(agent)[0], signal.SIGKILL)
        wait_for(lambda: agent.output().count(dead) == count, "the agent knows")
    agent.reload(service(SERVICE))
    wait_no_listener(net)
    time.sleep(1.5)
    assert agent_children(agent) == []
    assert "trunk end cannot start" not in agent.output()
    near, far = net.connection(family, SERVICE)
    echo(near, far)

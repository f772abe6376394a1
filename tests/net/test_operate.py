# SPDX-License-Identifier: GPL-2.0
"""Starting, stopping, reloading and asking: what an operator sees."""
import contextlib
import os
import pwd
import re
import signal
import socket

import pytest

from gateway import NOBODY, Gateway, no_capabilities, serve
from peer import carry, finished_remote_slow_client, receive_digest
from rig import GREETING, IPV4, IPV6, Capture, echo, wait_for

pytestmark = pytest.mark.stealing


# ---- stopping ----

@pytest.mark.smoke
def test_sigterm_lets_running_flows_finish_and_leaves_nothing(net, gateway, family):
    """Meanwhile new connections go straight; after the last flow the daemon exits 0."""
    gateway.start(serve(5000))
    near, far = net.connection(family, 5000)
    assert gateway.took(far, family)
    gateway.expect_exit = True
    gateway.signal(signal.SIGTERM)

    def goes_straight():
        fresh, remote = net.connection(family, 5000, timeout=10)
        echo(fresh, remote)
        straight = remote.getpeername()[0] == family.client
        fresh.close()
        remote.close()
        return straight

    wait_for(goes_straight, "new connections go straight")
    assert gateway.process.running()
    carry(near, far, 4 << 20)
    echo(near, far)
    near.shutdown(socket.SHUT_WR)
    assert far.recv(1) == b""
    far.close()
    assert near.recv(1) == b""
    near.close()
    assert gateway.process.wait(10) == 0
    gateway.assert_nothing_left()


def test_sigterm_keeps_what_a_slow_client_has_not_taken_yet(net, gateway, family):
    """The remote has finished and is gone, the client reads when it likes."""
    gateway.start(serve(5000))
    near, stream = finished_remote_slow_client(net, family)
    gateway.expect_exit = True
    gateway.signal(signal.SIGTERM)
    with contextlib.suppress(AssertionError):  # it may well wait until the client has it all
        gateway.process.wait(2)
    near.settimeout(8)
    assert receive_digest(near) == (stream.size, stream.digest())
    near.close()
    assert gateway.process.wait(10) == 0
    gateway.assert_nothing_left()


def test_sigterm_does_not_wait_for_connections_that_are_not_up(net, gateway, family):
    """A SYN that is held is given back: the client goes on by itself and has lost nothing."""
    gateway.start(serve(5000, address=family.blackhole), drain_timeout="1h")
    capture = Capture(net.gateway, "wan0")
    near = net.client.start_connect(family, family.blackhole, 5000)
    wait_for(lambda: gateway.counters()["syn_held"] == 1, "the SYN is held")
    gateway.expect_exit = True
    gateway.signal(signal.SIGTERM)
    own = (family.client, near.getsockname()[1])
    wait_for(lambda: capture.segments(lambda s: s.is_syn and (s.source, s.source_port) == own),
             "the client's own SYN goes on")
    assert gateway.process.wait(10) == 0
    gateway.assert_nothing_left()


def test_flows_that_outlast_the_drain_timeout_are_reset(net, gateway, family):
    gateway.start(serve(5000), drain_timeout="1s")
    near, far = net.connection(family, 5000)
    echo(near, far)
    gateway.expect_exit = True
    gateway.signal(signal.SIGTERM)
    for sock in near, far:
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
    assert gateway.process.wait(10) == 0
    gateway.assert_nothing_left()


def test_a_second_sigterm_stops_at_once(net, gateway):
    gateway.start(serve(5000), drain_timeout="1h")
    near, far = net.connection(IPV4, 5000)
    echo(near, far)
    gateway.expect_exit = True
    gateway.signal(signal.SIGTERM)
    wait_for(lambda: net.connection(IPV4, 5000)[1].getpeername()[0] == IPV4.client, "it drains")
    gateway.signal(signal.SIGTERM)
    gateway.process.wait(10)
    with pytest.raises(ConnectionResetError):
        near.recv(1)
    gateway.assert_nothing_left()


def test_drain_by_hand_forwards_what_is_new(net, gateway, family):
    gateway.start(serve(5000))
    near, far = net.connection(family, 5000)
    gateway.sluice("drain")
    fresh, remote = net.connection(family, 5000)
    assert remote.getpeername()[0] == family.client
    echo(fresh, remote)
    assert gateway.process.running()
    echo(near, far)


# ---- reloading ----

def test_sighup_takes_the_new_file(net, gateway, family):
    gateway.start(serve(5000))
    near, far = net.connection(family, 5000)
    gateway.configure(serve(5001))
    gateway.signal(signal.SIGHUP)

    def served(port):
        fresh, remote = net.connection(family, port)
        echo(fresh, remote)
        return remote.getpeername()[0] == family.wan

    wait_for(lambda: served(5001), "the new port is taken")
    assert not served(5000), "the old port is still taken"
    echo(near, far)


def test_sighup_with_a_bad_file_keeps_the_old_and_says_why(net, gateway, family):
    gateway.start(serve(5000))
    with open(gateway.config, "a") as config:
        config.write('\nproxy "10.2.0.300" { port 99999 { } }\n')
    gateway.signal(signal.SIGHUP)
    wait_for(lambda: f"{gateway.config}:" in gateway.output(), "the mistake is reported")
    near, far = net.connection(family, 5000)
    assert gateway.took(far, family)
    echo(near, far)


def test_reload_with_a_bad_file_is_refused(net, gateway):
    gateway.start(serve(5000))
    with open(gateway.config, "a") as config:
        config.write("\nno-such-key = 1\n")
    done = gateway.sluice("reload", check=False)
    assert done.returncode == 1
    assert done.stderr.strip()
    near, far = net.connection(IPV4, 5000)
    assert gateway.took(far, IPV4)
    echo(near, far)


@pytest.mark.parametrize("change", ["user = nosuchuser",
                                    'proxy "10.2.0.7" { port 80 { flow-control = nosuch } }'])
def test_reload_that_asks_for_what_is_not_there_changes_nothing(net, gateway, change):
    gateway.start(serve(5000))
    gateway.configure(serve(5001) + "\n" + change + "\n")
    done = gateway.sluice("reload", check=False)
    assert done.returncode == 1
    assert done.stderr.strip()
    near, far = net.connection(IPV4, 5000)
    assert gateway.took(far, IPV4)
    echo(near, far)


def test_an_interface_does_not_change_sides_by_a_reload(net, gateway):
    gateway.start(serve(5000))
    gateway.configure(serve(5000), lan=["wan0"], wan=["lan0"])
    done = gateway.sluice("reload", check=False)
    assert (done.returncode, "wan0 is attached as wan" in done.stderr) == (1, True), done.stderr
    near, far = net.connection(IPV4, 5000)
    echo(near, far)
    assert gateway.took(far, IPV4)


def test_what_takes_a_restart_is_as_before_after_a_reload(net, gateway):
    gateway.start(serve(5000), half_open=99)
    before = gateway.show("status")
    for times in 1, 2:
        gateway.configure(serve(5000), half_open=50, engine="splice", workers=3)
        gateway.sluice("reload")
        assert gateway.output().count("take effect at the next start") == times
    after = gateway.show("status")
    assert [after[key] for key in ("half_open_limit", "engine")] == \
        [before[key] for key in ("half_open_limit", "engine")] == [99, "auto"]


def test_a_relay_that_dies_after_a_reload_comes_back_as_the_same_user(net, gateway):
    gateway.start(serve(5000), user="daemon")
    gateway.configure(serve(5000), user="games")
    gateway.sluice("reload")
    before = gateway.relays()
    os.kill(before[0], signal.SIGKILL)
    wait_for(lambda: all(relay["state"] == "serving" for relay in gateway.show("status")["relays"])
             and gateway.relays() != before, "it is back")
    uids = {os.stat(f"/proc/{pid}").st_uid for pid in gateway.relays()}
    assert uids == {pwd.getpwnam("daemon").pw_uid}


def test_what_was_added_by_hand_outlives_a_reload(net, gateway):
    """Reading the file again changes what the file says, no more."""
    gateway.start(serve(5000))
    gateway.sluice("add", IPV4.remote, "5003")
    gateway.sluice("reload")
    for port in 5000, 5003:
        assert gateway.took(net.connection(IPV4, port)[1], IPV4)


# ---- refusing to start ----

def assert_refused(gateway, done, *words):
    """Exit status 1, the reason on stderr, nothing left."""
    assert done.returncode == 1, f"exit {done.returncode}: {done.stderr}"
    for word in words:
        assert re.search(word, done.stderr), f"{word!r} is not in: {done.stderr}"
    gateway.assert_nothing_left()


MISTAKES = {
    "bad-address": ('proxy "10.2.0.300" { port 80 { } }', 1),
    "bad-port": ('proxy "10.2.0.2" { port 70000 { } }', 1),
    "bad-trunk": ('proxy "10.2.0.2" { port 80 { trunk = 0 } }', 1),
    "unknown-key": ("no-such-key = 1", 1),
    "unknown-port-key": ('proxy "10.2.0.2" { port 80 { colour = "red" } }', 1),
    "bad-size": ('params "a" { window = "lots" }\n'
                 'proxy "10.2.0.2" { port 80 { params = "a" } }', 1),
    "bad-rate": ('proxy "10.2.0.2" { port 80 { rate = "fast" } }', 1),
    "unknown-params": ('proxy "10.2.0.2" { port 80 { params = "none-such" } }', 1),
    "unknown-connect": ('proxy "10.2.0.2" { port 80 { connect = "later" } }', 1),
    "port-twice": ('proxy "10.2.0.2" {\nport 80 { }\nport 80 { }\n}', 1),
    "proxy-twice": ('proxy "10.2.0.2" { port 80 { } }\nproxy "10.2.0.2" { port 81 { } }', 1),
    "unfinished": ('proxy "10.2.0.2" { port 80 { }', 1),
    "three-mistakes": ('proxy "10.2.0.300" { port 80 { } }\n'
                       'proxy "10.2.0.2" { port 70000 { } }\n'
                       'proxy "10.2.0.3" { port 80 { rate = "fast" } }', 3),
}


@pytest.mark.parametrize("text, mistakes", MISTAKES.values(), ids=MISTAKES)
@pytest.mark.parametrize("extra", [(), ("--check",)], ids=["start", "check"])
def test_a_mistake_in_the_file_is_reported_by_its_line(gateway, text, mistakes, extra):
    """Every mistake on a line of its own, and nothing is applied."""
    gateway.configure(text)
    done = gateway.try_start(extra=extra)
    assert_refused(gateway, done)
    lines = [line for line in done.stderr.splitlines() if f"{gateway.config}:" in line]
    assert len(lines) == mistakes, done.stderr
    for line in lines:
        assert re.search(re.escape(gateway.config) + r":\d+: \S", line), line


def test_check_of_a_good_file_changes_nothing(gateway):
    gateway.configure(serve(5000))
    done = gateway.try_start(extra=["--check"])
    assert done.returncode == 0, done.stderr
    gateway.assert_nothing_left()


def test_a_file_that_is_not_there_is_refused(gateway):
    assert_refused(gateway, gateway.try_start(), re.escape(gateway.config))


def test_an_interface_that_does_not_exist_is_refused(gateway):
    gateway.configure(serve(5000), lan=["nope0"])
    assert_refused(gateway, gateway.try_start(), "nope0")


def test_too_little_privilege_is_refused(gateway):
    gateway.configure(serve(5000))
    done = gateway.try_start(*no_capabilities())
    assert_refused(gateway, done, r"CAP_NET_ADMIN")


@pytest.mark.parametrize("same", ["pin-dir", "run-dir"])
def test_a_second_daemon_is_refused_and_the_first_goes_on(net, gateway, family, same):
    gateway.start(serve(5000))
    near, far = net.connection(family, 5000)
    if same == "pin-dir":
        done = gateway.try_start(run_dir=os.path.join(gateway.directory, "run2"))
    else:
        done = gateway.try_start(pin_dir=gateway.pin_dir + "-2")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert not os.path.exists(gateway.pin_dir + "-2")
    assert not os.path.exists(os.path.join(gateway.directory, "run2"))
    echo(near, far)
    fresh, remote = net.connection(family, 5000, timeout=5)
    assert gateway.took(remote, family)
    echo(fresh, remote)


@pytest.mark.parametrize("argv", [["--no-such-option"], ["stray"]], ids=["option", "word"])
def test_wrong_usage_of_the_daemon_is_exit_2(gateway, argv):
    gateway.configure(serve(5000))
    done = gateway.try_start(extra=argv)
    assert done.returncode == 2
    assert done.stderr.strip()


# ---- the command-line tool ----

@pytest.mark.parametrize("argv", [
    ["frobnicate"], [], ["show", "nonsense"], ["add"], ["explain", "10.1.0.2"], ["show", "flow"],
], ids=lambda argv: "-".join(argv) or "nothing")
def test_wrong_usage_is_exit_2(gateway, argv):
    gateway.start(serve(5000))
    done = gateway.sluice(*argv, check=False)
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.strip()


def test_without_a_daemon_a_verb_fails_and_says_so(gateway):
    done = gateway.sluice("show", "status", check=False)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("argv", [
    ["del", "10.2.0.99"], ["del", "10.2.0.2", "4999"], ["show", "flow", "123456789"],
    ["attach", "nope0"], ["detach", "nope0"], ["add", "10.2.0.300", "80"],
    ["add", "10.2.0.2", "80", "flow-control=no-such-thing"],
    ["add", "10.2.0.2", "80", "colour=red"],
], ids=lambda argv: "-".join(argv))
def test_what_cannot_be_done_is_exit_1_with_one_line(gateway, argv):
    """Wrong words that only a look at them shows may count as usage, exit 2."""
    gateway.start(serve(5000))
    done = gateway.sluice(*argv, check=False)
    assert done.returncode in (1, 2), done.stdout + done.stderr
    assert done.stderr.strip()
    if done.returncode == 1:
        assert len(done.stderr.splitlines()) == 1, done.stderr


def test_another_user_is_refused(gateway):
    gateway.start(serve(5000))
    for argv in ["show", "status"], ["del", "10.2.0.2"]:
        done = gateway.sluice(*argv, user=NOBODY, check=False)
        assert done.returncode == 1, done.stdout + done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert gateway.show("ports")["ports"], "another user has changed a table"


def test_the_tables_are_shown_with_their_documented_keys(net, gateway, family):
    gateway.start(serve(5000, trunk=5000, flow_control="reno"))
    near, far = net.connection(family, 5000)
    echo(near, far)

    ports = gateway.show("ports")["ports"]
    mine = [port for port in ports if port["address"] == family.remote]
    assert len(mine) == 1
    assert set(mine[0]) >= {"address", "service_port", "listen_port", "trunk_port", "params",
                            "identity", "nexthop", "expires_s", "flows"}
    assert (mine[0]["service_port"], mine[0]["trunk_port"], mine[0]["flows"]) == (5000, 5000, 1)

    flow = wait_for(lambda: gateway.flow_of(near), "the flow is shown")
    assert set(flow) >= {"id", "client", "remote", "trunk_port", "identity", "state", "engine",
                         "age_s", "up", "down", "lan", "wan"}
    assert flow["remote"] == family.at(family.remote, 5000)
    assert flow["engine"] in ("kernel", "relay", "splice")
    assert flow["state"] == "open"
    for direction in "up", "down":
        assert set(flow[direction]) >= {"bytes", "kernel_bytes", "relay_bytes", "backlog"}
        assert flow[direction]["bytes"] == len(GREETING)
    assert set(flow["lan"]) >= {"rtt_us", "cwnd", "retrans", "cc"}
    assert set(flow["wan"]) >= {"rtt_us", "cwnd", "retrans", "cc", "pacing_bps", "delivery_bps",
                                "subflows"}
    assert flow["wan"]["cc"] == "reno"

    one = gateway.show("flow", flow["id"])
    one = one.get("flow", one)
    assert (one["id"], one["client"]) == (flow["id"], flow["client"])

    counters = gateway.show("counters")
    assert {"syn_held", "no_port", "to_leg"} <= set(counters["intercept"])
    assert {"joined", "refused", "bytes_up"} <= set(counters["relay"])
    for noun in "status", "proxies", "params":
        assert gateway.show(noun)


def test_many_flows_are_all_listed(net, gateway):
    gateway.start(serve(5000))
    with net.remote.listen(IPV4, IPV4.remote, 5000) as listener:
        near = [net.client.connect(IPV4, IPV4.remote, 5000) for _ in range(300)]
        net.remote.sockets += [listener.accept()[0] for _ in near]
    wanted = {f"{IPV4.client}:{sock.getsockname()[1]}" for sock in near}
    flows = gateway.flows()
    assert {flow["client"] for flow in flows} == wanted
    assert len({flow["id"] for flow in flows}) == 300


@pytest.mark.parametrize("noun", ["status", "proxies", "ports", "params", "flows", "counters"])
def test_every_noun_is_shown_to_people(net, gateway, noun):
    gateway.start(serve(5000))
    near, far = net.connection(IPV6, 5000)
    echo(near, far)
    text = gateway.sluice("show", noun).stdout
    assert text.strip()
    if noun in ("proxies", "ports"):
        assert IPV6.remote in text
    if noun == "flows":
        assert IPV6.client in text


def test_a_flow_can_be_shown_in_full(net, gateway, family):
    gateway.start(serve(5000))
    near, far = net.connection(family, 5000)
    echo(near, far)
    flow = wait_for(lambda: gateway.flow_of(near), "the flow is shown")
    text = gateway.sluice("show", "flow", flow["id"]).stdout
    assert family.client in text and family.remote in text


def test_the_byte_counts_of_a_flow_are_right(net, gateway, family):
    gateway.start(serve(5000))
    near, far = net.connection(family, 5000)
    carry(near, far, 3_000_000)
    carry(far, near, 1_234_567)

    def told():
        flow = gateway.flow_of(near)
        return (flow["up"]["bytes"], flow["down"]["bytes"]) == (3_000_000, 1_234_567)

    wait_for(told, "the flow's byte counts")
    with gateway.counting(bytes_up=(0,), closed=1):
        near.close()
        far.close()
    counters = gateway.counters()
    assert (counters["bytes_up"], counters["bytes_down"]) == (3_000_000, 1_234_567)


def test_two_gateways_can_run_on_one_host_with_their_own_directories(net, gateway):
    """In another namespace, under other pins: neither sees the other."""
    gateway.start(serve(5000))
    second = Gateway(net, gateway.engine, gateway.intercept)
    second.namespace = net.remote
    try:
        second.before = second.traces()
        second.start(serve(5001), lan=["eth0"], wan=[])
        assert second.show("status") and gateway.show("status")
        near, far = net.connection(IPV4, 5000)
        assert gateway.took(far, IPV4)
        echo(near, far)
        assert not second.flows()
        net.close_sockets()
        second.finish()
    finally:
        second.remove()

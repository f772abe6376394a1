# SPDX-License-Identifier: GPL-2.0
"""Flows that have ended: their termination codes, the log's lines and the flow log."""
import json
import os
import re
import signal
import socket
import time

import pytest

from gateway import REPOSITORY, serve
from peer import carry
from rig import IPV4, echo, reset, wait_for

pytestmark = pytest.mark.stealing


def ended(gateway, *argv):
    return json.loads(gateway.sluice("show", "flows", "--ended", "-j", *argv).stdout)["flows"]


def end_of(gateway, sock):
    """What is told of the flow of a client's socket once it has ended."""
    name = sock.getsockname()
    client = f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"
    return end_of_client(gateway, client)


def end_of_client(gateway, client):
    return wait_for(lambda: next((flow for flow in ended(gateway) if flow["client"] == client),
                                 None), f"the end of {client} is told")


def name_of(sock):
    name = sock.getsockname()
    return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"


# ---- who ended it, in which state ----

def in_order(near, far):
    echo(near, far)
    near.close()
    assert far.recv(1) == b""
    far.close()


def client_resets(near, far):
    echo(near, far)
    reset(near)


def remote_resets(near, far):
    echo(near, far)
    reset(far)


def remote_resets_a_half_closed(near, far):
    echo(near, far)
    near.shutdown(socket.SHUT_WR)
    assert far.recv(1) == b""
    reset(far)


def client_resets_a_half_closed(near, far):
    echo(near, far)
    far.shutdown(socket.SHUT_WR)
    assert near.recv(1) == b""
    reset(near)


@pytest.mark.parametrize("end, code, name, state", [
    (in_order, "--", "closed", "closing"),
    (client_resets, "CO", "client-reset", "open"),
    (remote_resets, "RO", "remote-reset", "open"),
    (remote_resets_a_half_closed, "RU", "remote-reset", "up-closed"),
    (client_resets_a_half_closed, "CD", "client-reset", "down-closed"),
], ids=lambda value: getattr(value, "__name__", ""))
def test_the_code_says_who_ended_it_and_in_which_state(net, gateway, family, end, code, name,
                                                       state):
    gateway.start(serve(5000))
    near, far = net.connection(family, 5000)
    client = name_of(near)
    started = time.time()
    end(near, far)
    flow = end_of_client(gateway, client)
    assert (flow["code"], flow["end"], flow["state"]) == (code, name, "ended")
    assert flow["ended_in"] == state or name == "closed"
    assert flow["remote"] == family.at(family.remote, 5000)
    assert (flow["up"]["bytes"], flow["down"]["bytes"]) == (17, 17)
    assert 0 <= flow["duration_s"] < time.time() - started + 60
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", flow["time"])
    assert flow["wan"]["rtt_us"] > 0 and flow["wan"]["cc"], "the legs' last state is told"


def test_a_refused_connection_has_a_code(net, gateway, family):
    gateway.start(serve(5000))
    with pytest.raises(ConnectionRefusedError):
        net.client.connect(family, family.remote, 5000)
    flow = wait_for(lambda: ended(gateway), "it is told")[0]
    assert (flow["code"], flow["end"]) == ("RS", "refused")


def test_an_unreachable_remote_has_a_code(net, gateway, family):
    gateway.start(serve(5000, address=family.unreachable))
    with pytest.raises(OSError):
        net.client.connect(family, family.unreachable, 5000)
    flow = wait_for(lambda: ended(gateway), "it is told")[0]
    assert (flow["code"], flow["end"]) == ("NS", "unreachable")


def test_an_idle_flow_has_a_code(net, gateway, family):
    gateway.start(serve(5000, idle_timeout="1s"))
    near, far = net.connection(family, 5000)
    echo(near, far)
    flow = end_of(gateway, near)
    assert (flow["code"], flow["end"]) == ("IO", "idle")


def test_flows_that_a_stop_resets_are_in_the_flow_log(net, gateway, family):
    path = os.path.join(gateway.directory, "flows.jsonl")
    gateway.start(serve(5000), drain_timeout="0s", flow_log=path)
    near, far = net.connection(family, 5000)
    echo(near, far)
    gateway.expect_exit = True
    assert gateway.stop() == 0
    flows = lines_of(path)
    assert [(flow["code"], flow["client"]) for flow in flows] == [("KO", name_of(near))]
    gateway.assert_nothing_left()


# ---- the list ----

def test_the_last_to_end_comes_first_and_as_many_as_are_asked_for(net, gateway):
    gateway.start(serve(5000))
    names = []
    for _ in range(5):
        near, far = net.connection(IPV4, 5000)
        names.append(name_of(near))
        in_order(near, far)
        end_of_client(gateway, names[-1])
    assert [flow["client"] for flow in ended(gateway)] == names[::-1]
    assert [flow["client"] for flow in ended(gateway, "-n", 2)] == names[:2:-1]
    text = gateway.sluice("show", "flows", "--ended").stdout
    assert "CODE" in text and names[0] in text


def test_flows_that_run_are_not_among_them(net, gateway, family):
    gateway.start(serve(5000))
    near, far = net.connection(family, 5000)
    echo(near, far)
    assert not ended(gateway)
    assert gateway.flow_of(near)["end"] == "-"


def test_a_crowd_that_ends_at_once_is_told_of(net, gateway):
    gateway.start(serve(5000))
    with net.remote.listen(IPV4, IPV4.remote, 5000) as listener:
        near, far = [], []
        for _ in range(1000):
            near.append(net.client.connect(IPV4, IPV4.remote, 5000))
            far.append(listener.accept()[0])
    names = {name_of(sock) for sock in near}
    for sock in near:
        reset(sock)
    wait_for(lambda: {flow["client"] for flow in ended(gateway)} == names, "all are told")
    for sock in far:
        sock.close()
    assert gateway.counters()["ended_lost"] == 0


@pytest.mark.parametrize("argv", [["show", "status", "--ended"], ["show", "flows", "-n", "3"],
                                  ["show", "flows", "--ended", "-n", "0"], ["drain", "--ended"]],
                         ids=" ".join)
def test_wrong_usage(gateway, argv):
    gateway.start(serve(5000))
    assert gateway.sluice(*argv, check=False).returncode == 2


# ---- the log ----

def fields(line):
    return dict(re.findall(r'(\w+)=("[^"]*"|\S+)', line))


def test_a_line_of_the_log_for_each_flow(net, gateway, family):
    gateway.start(serve(5000), log_flows="info")
    near, far = net.connection(family, 5000)
    carry(near, far, 100_000)
    client = name_of(near)
    near.close()
    far.close()

    def line():
        return next((each for each in gateway.output().splitlines() if "code=" in each), None)

    told = fields(wait_for(line, "the flow is logged"))
    assert (told["client"], told["code"], told["up"]) == (client, "--", "100000")
    assert told["remote"] == family.at(family.remote, 5000)


def test_no_line_below_the_level(net, gateway):
    gateway.start(serve(5000))
    near, far = net.connection(IPV4, 5000)
    client = name_of(near)
    in_order(near, far)
    end_of_client(gateway, client)
    assert "code=" not in gateway.output()


# ---- the flow log ----

def lines_of(path):
    with open(path) as log:
        return [json.loads(line) for line in log if line.endswith("\n")]


def test_the_flow_log_has_the_same_keys_as_the_list(net, gateway, family):
    path = os.path.join(gateway.directory, "flows.jsonl")
    gateway.start(serve(5000), flow_log=path)
    near, far = net.connection(family, 5000)
    client = name_of(near)
    in_order(near, far)
    flow = end_of_client(gateway, client)
    assert wait_for(lambda: lines_of(path), "it is written") == [flow]
    assert os.stat(path).st_mode & 0o777 == 0o640
    assert gateway.counters()["flow_log_lines"] == 1


def test_a_file_that_was_renamed_is_left_alone_after_sighup(net, gateway):
    """As logrotate does it."""
    path = os.path.join(gateway.directory, "flows.jsonl")
    gateway.start(serve(5000), flow_log=path)
    in_order(*net.connection(IPV4, 5000))
    wait_for(lambda: lines_of(path), "the first is written")
    os.rename(path, path + ".1")
    gateway.signal(signal.SIGHUP)
    wait_for(lambda: os.path.exists(path), "a new file is made")
    in_order(*net.connection(IPV4, 5000))
    wait_for(lambda: lines_of(path), "the second is written")
    assert len(lines_of(path)) == len(lines_of(path + ".1")) == 1


def test_every_flow_is_in_the_log_once(net, gateway):
    path = os.path.join(gateway.directory, "flows.jsonl")
    gateway.start(serve(5000), flow_log=path)
    names = set()
    for _ in range(200):
        near, far = net.connection(IPV4, 5000)
        names.add(name_of(near))
        in_order(near, far)
    wait_for(lambda: len(lines_of(path)) == 200, "all are written")
    assert {flow["client"] for flow in lines_of(path)} == names


def test_a_writer_that_stands_still_holds_up_nobody(net, gateway, family):
    """A disk that hangs: flows go on, main answers, what does not fit is counted."""
    path = os.path.join(gateway.directory, "flows.jsonl")
    gateway.start(serve(5000), flow_log=path)
    writer = writer_of(gateway)
    os.kill(writer, signal.SIGSTOP)
    try:
        with net.remote.listen(IPV4, IPV4.remote, 5000) as listener:
            def dropped():
                for _ in range(100):
                    near = net.client.connect(IPV4, IPV4.remote, 5000)
                    listener.accept()[0].close()
                    near.close()
                return gateway.counters()["flow_log_dropped"]
            wait_for(dropped, "the pipe is full", 60)
        near, far = net.connection(family, 5000)
        echo(near, far)
    finally:
        os.kill(writer, signal.SIGCONT)
    counters = gateway.counters()
    wait_for(lambda: len(lines_of(path)) >= counters["flow_log_lines"], "the rest is written")


def writer_of(gateway):
    """The process that has the file open for writing."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as stat:
                parent = int(stat.read().rpartition(")")[2].split()[1])
            if parent == gateway.process.pid and any(
                    os.readlink(f"/proc/{pid}/fd/{fd}").endswith("flows.jsonl")
                    for fd in os.listdir(f"/proc/{pid}/fd")):
                return int(pid)
        except OSError:
            continue
    raise AssertionError("nobody writes the flow log")


def test_the_writer_has_no_privilege(gateway):
    gateway.start(serve(5000), flow_log=os.path.join(gateway.directory, "flows.jsonl"))
    with open(f"/proc/{writer_of(gateway)}/status") as status:
        told = dict(line.split(":\t", 1) for line in status.read().splitlines() if ":\t" in line)
    assert told["CapEff"] == told["CapPrm"] == told["CapBnd"] == "0" * 16
    assert "0" not in told["Uid"].split()


def test_a_full_disk_leaves_whole_lines(net, gateway):
    """The log is on a file system of 64 KiB."""
    place = os.path.join(gateway.directory, "small")
    os.mkdir(place)
    assert os.system(f"mount -t tmpfs -o size=64k none {place}") == 0
    path = os.path.join(place, "flows.jsonl")
    try:
        gateway.start(serve(5000), flow_log=path)
        with net.remote.listen(IPV4, IPV4.remote, 5000) as listener:
            def dropped():
                for _ in range(50):
                    near = net.client.connect(IPV4, IPV4.remote, 5000)
                    listener.accept()[0].close()
                    near.close()
                return gateway.counters()["flow_log_dropped"]
            wait_for(dropped, "the disk is full", 30)
        assert "flow log: No space left" in gateway.output()
        gateway.expect_exit = True
        assert gateway.stop() == 0
        with open(path) as log:
            assert log.read().endswith("\n"), "a part of a line was left"
        assert len(lines_of(path)) > 10
    finally:
        os.system(f"umount -l {place}")


@pytest.mark.parametrize("setting", [{"flow_log": "flows.jsonl"}, {"log_flows": "loud"}],
                         ids=str)
def test_a_wrong_value_is_refused(gateway, setting):
    gateway.configure(serve(5000), **setting)
    done = gateway.try_start()
    assert done.returncode == 1
    assert f"{gateway.config}:" in done.stderr


def test_a_flow_log_that_cannot_be_opened_is_refused_and_a_reload_keeps_the_old(net, gateway):
    path = os.path.join(gateway.directory, "flows.jsonl")
    nowhere = os.path.join(gateway.directory, "none", "flows.jsonl")
    gateway.configure(serve(5000), flow_log=nowhere)
    done = gateway.try_start()
    assert done.returncode == 1 and nowhere in done.stderr
    gateway.start(serve(5000), flow_log=path)
    gateway.configure(serve(5001), flow_log=nowhere)
    assert gateway.sluice("reload", check=False).returncode == 1
    in_order(*net.connection(IPV4, 5000))
    assert len(wait_for(lambda: lines_of(path), "the old log goes on")) == 1


@pytest.mark.parametrize("kind, pattern", [
    ("FLOW_END", r"X\(FLOW_END_\w+, \"([^\"]+)\", '(.)',\s*\"([^\"]+)\"\)"),
    ("FLOW_STATE", r"X\(FLOW_(?!END_)\w+, \"([^\"]+)\", '(.)',\s*\"([^\"]+)\"\)"),
])
def test_every_code_is_documented(kind, pattern):
    with open(os.path.join(REPOSITORY, "include", "flow.h")) as header:
        found = re.findall(pattern, header.read())
    with open(os.path.join(REPOSITORY, "docs", "man", "sluice.8.md")) as document:
        rows = document.read()
    assert len(found) > 5, kind
    for name, letter, text in found:
        if name not in ("-", "ended"):
            assert f"| `{letter}` | `{name}` | {text} |" in rows

# SPDX-License-Identifier: GPL-2.0
"""
Where this kernel lacks a feature the daemon takes its other way, and where it has it
the better one. What is there is asked of the kernel by build/tests/kernel_features,
not of the daemon. The way taken is noted with the result, for docs/kernels.md.
"""
import re
import socket

import pytest

from gateway import serve
from peer import carry
from rig import (Unsupported, echo, linkrate_known, new_kernel, receive, receive_all,
                 wait_for)

pytestmark = pytest.mark.stealing
PORT = 5000
KIB = 1 << 10


def filters(net, device):
    """Names of the programs that hang on a device by clsact, in both directions."""
    return [one["options"]["bpf_name"].split(":")[0] for direction in ("ingress", "egress")
            for one in net.gateway.json("tc", "-j", "filter", "show", "dev", device, direction)
            if "bpf_name" in one.get("options", {})]


def has_clsact(net, device):
    return "clsact" in [qdisc["kind"] for qdisc in
                        net.gateway.json("tc", "-j", "qdisc", "show", "dev", device)]


def assert_taken(net, gateway, family):
    near, far = net.connection(family, PORT)
    echo(near, far)
    assert gateway.took(far, family)


def test_the_program_hangs_on_the_lan_by_a_link_or_by_filters(
        net, gateway, family, features, record_property):
    way = "tcx" if features["tcx links"] else "clsact"
    gateway.start(serve(PORT))
    lan = next(one for one in gateway.show("status")["interfaces"] if one["dev"] == "lan0")
    assert lan["attach"] == way
    assert has_clsact(net, "lan0") == (way == "clsact")
    assert len(filters(net, "lan0")) == (2 if way == "clsact" else 0)
    assert_taken(net, gateway, family)
    record_property("attached to interfaces by", way)


def test_filters_of_others_outlive_ours(net, gateway, family, features):
    """Also on a qdisc that was made for ours."""
    gateway.start(serve(PORT))
    if features["tcx links"]:
        net.gateway.run("tc", "qdisc", "add", "dev", "lan0", "clsact")
    try:
        net.gateway.run("tc", "filter", "add", "dev", "lan0", "egress", "prio", 7, "handle", 7,
                        "bpf", "bytecode", "1,6 0 0 0")
        assert_taken(net, gateway, family)
        net.close_sockets()
        gateway.expect_exit = True  # what it leaves is what this is about
        assert gateway.stop() == 0
        assert "handle 0x7" in net.gateway.run("tc", "filter", "show", "dev", "lan0",
                                               "egress").stdout
    finally:
        net.gateway.run("tc", "qdisc", "del", "dev", "lan0", "clsact")


def test_a_killed_daemon_leaves_filters_that_forward_or_nothing(
        net, gateway, family, features, record_property):
    gateway.start(serve(PORT))
    gateway.kill()
    left = filters(net, "lan0")
    assert len(left) == (0 if features["tcx links"] else 2)
    near, far = net.connection(family, PORT)
    echo(near, far)
    assert far.getpeername()[0] == family.client, "nobody is there to take it"
    gateway.expect_exit = False
    gateway.start(serve(PORT))
    assert_taken(net, gateway, family)
    assert gateway.stop() == 0
    assert not filters(net, "lan0")
    gateway.expect_exit = True
    record_property("a killed daemon leaves behind", ", ".join(left) or "no filter")


def test_linkrate_ends_with_a_killed_daemon_or_serves_the_next(
        alone, net, gateway, family, features, record_property):
    if not features["congestion controls in BPF"]:
        raise Unsupported("no congestion controls in BPF")
    gateway.start(serve(PORT))
    assert linkrate_known()
    gateway.kill()
    if features["... registered by a link"]:
        wait_for(lambda: not linkrate_known(), "linkrate is gone")
        way = "ends"
    else:
        assert linkrate_known()
        way = "stays registered, the next daemon uses it"
    gateway.expect_exit = False
    gateway.start(serve(PORT, flow_control="linkrate", rate="10mbit", rtt="10ms"))
    near, far = net.connection(family, PORT)
    echo(near, far)
    leg = gateway.flow_of(near)["wan"]
    assert leg["cc"] == "linkrate"
    assert 9_000_000 < leg["pacing_bps"] <= 10_000_000
    record_property("linkrate of a killed daemon", way)


def test_the_first_window_is_whole_or_grows_from_64_kib(
        net, gateway, family, record_property):
    """From 6.11 on the first segment may offer all of it; before, every round trip more."""
    whole = new_kernel(6, 11)
    gateway.start(serve(PORT, window="4MiB"))
    near, far = net.connection(family, PORT)

    def offered():
        line = next(iter(net.remote.tcp("state", "established", "sport", f"= :{PORT}")))
        return int(re.search(r"snd_wnd:(\d+)", line)[1])

    near.sendall(b"x")
    assert receive(far, 1) == b"x"
    first = offered()
    if whole:
        assert first >= 2048 * KIB
    else:
        assert first <= 64 * KIB
        for _ in range(64):
            far.sendall(bytes(16 * KIB))
            assert len(receive(near, 16 * KIB)) == 16 * KIB
        assert offered() > 128 * KIB
    record_property("window offered first, of 4 MiB", "all of it" if whole
                    else "64 KiB at most, then it grows")


def test_flows_run_on_the_engine_that_the_self_test_allows(
        net, gateway, family, record_property):
    """Asked for the kernel's, on a kernel with faulty sockmaps they run on splice."""
    gateway.start(serve(PORT, engine="kernel"))
    engine = gateway.show("status")["kernel_engine"]
    near, far = net.connection(family, PORT)
    carry(near, far, 1024 * KIB)
    carry(far, near, 1024 * KIB)
    assert gateway.flow_of(near)["engine"] == ("kernel" if engine["offered"] else "splice")
    near.shutdown(socket.SHUT_WR)
    far.shutdown(socket.SHUT_WR)
    assert receive_all(far) == receive_all(near) == b""
    record_property("kernel engine", "offered" if engine["offered"]
                    else f"not offered, splice instead: {engine['why']}")

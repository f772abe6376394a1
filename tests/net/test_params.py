# SPDX-License-Identifier: GPL-2.0
"""The parameters of a port are what its WAN legs run with."""
import re

import pytest

from gateway import serve
from peer import carry, parse_proxy_v2
from rig import Capture, echo, receive, receive_all, wait_for

pytestmark = pytest.mark.stealing

MIB = 1 << 20


def wan_leg(net, family, port=5000):
    """What ss(8) says of the gateway's socket to the remote."""
    lines = [line for line in net.gateway.tcp("state", "established", "dst",
                                              family.host(family.remote))
             if f":{port} " in line]
    assert len(lines) == 1, lines
    return lines[0]


def skmem(line):
    """{name: bytes} of skmem:(...)."""
    return {name: int(number) for name, number in
            re.findall(r"([a-z]+)(\d+)", re.search(r"skmem:\(([^)]*)\)", line)[1])}


@pytest.mark.parametrize("algorithm", ["reno", "bbr"])
def test_flow_control_is_the_algorithm_of_the_wan_leg(net, gateway, family, algorithm):
    gateway.start(serve(5000, flow_control=algorithm))
    near, far = net.connection(family, 5000)
    echo(near, far)
    assert algorithm in wan_leg(net, family).split()
    assert gateway.flow_of(near)["wan"]["cc"] == algorithm


def test_rate_paces_the_wan_leg(net, gateway, family):
    gateway.start(serve(5000, rate="50mbit"))
    near, far = net.connection(family, 5000)
    carry(near, far, 4 * MIB)
    line = wan_leg(net, family)
    rate = int(re.search(r"pacing_rate (\d+)bps(?:/(\d+)bps)?", line)[1])
    assert 0 < rate <= 50_000_000, line


def test_window_is_the_buffer_of_the_wan_leg(net, gateway, family):
    """Set before the SYN, so that the window scale fits: the kernel doubles what it is asked."""
    gateway.start(serve(5000, window="8MiB"))
    near, far = net.connection(family, 5000)
    echo(near, far)
    buffers = skmem(wan_leg(net, family))
    assert buffers["tb"] >= 8 * MIB and buffers["rb"] >= 8 * MIB, buffers
    scale = int(re.search(r"wscale:\d+,(\d+)", wan_leg(net, family))[1])
    assert 65535 << scale >= 8 * MIB


def test_dscp_marks_what_the_gateway_sends_to_the_remote(net, gateway, family):
    gateway.start(serve(5000, dscp=46))
    capture = Capture(net.remote, "eth0")
    near, far = net.connection(family, 5000)
    echo(near, far)
    sent = capture.segments(lambda s: not s.outgoing and s.target_port == 5000)
    assert len(sent) >= 3
    assert {s.dscp for s in sent} == {46}


def test_a_port_has_the_keys_of_its_named_set_and_its_own(net, gateway, family):
    text = f'''params "wan" {{ flow-control = "reno"  dscp = "10" }}
proxy "{family.remote}" {{ port 5000 {{ params = "wan"  dscp = "12" }} }}
'''
    gateway.start(text)
    capture = Capture(net.remote, "eth0")
    near, far = net.connection(family, 5000)
    echo(near, far)
    assert "reno" in wan_leg(net, family).split()
    assert {s.dscp for s in capture.segments(lambda s: not s.outgoing)} == {12}


def test_trunk_is_the_port_that_the_wan_leg_connects_to(net, gateway, family):
    gateway.start(serve(80, trunk=5000))
    with net.remote.listen(family, family.remote, 5000) as listener:
        near = net.client.connect(family, family.remote, 80)
        far, _ = listener.accept()
    far.settimeout(10)
    echo(near, far)
    assert near.getpeername()[:2] == (family.remote, 80)
    assert gateway.flow_of(near)["trunk_port"] == 5000


@pytest.mark.smoke
def test_source_client_shows_the_remote_the_client(net, gateway, family):
    """Its address and its port; the legs are two all the same."""
    gateway.start(serve(5000, source="client"))
    with gateway.counting(joined=3, closed=3, wan_to_leg=(1,)):
        for _ in range(3):
            near, far = net.connection(family, 5000)
            assert far.getpeername()[:2] == near.getsockname()[:2]
            carry(near, far, 4 * MIB)
            echo(near, far)
            near.close()
            assert receive_all(far) == b""
            far.close()


def test_source_client_refuses_what_the_remote_refuses(net, gateway, family):
    gateway.start(serve(5000, source="client"))
    with gateway.counting(refused=1), pytest.raises(ConnectionRefusedError):
        net.client.connect(family, family.remote, 5000)


def test_source_gateway_shows_the_remote_the_gateway(net, gateway, family):
    gateway.start(serve(5000))
    _, far = net.connection(family, 5000)
    assert far.getpeername()[0] == family.wan


def test_proxy_protocol_says_who_the_client_is(net, gateway, family):
    gateway.start(serve(5000, proxy_protocol="v2"))
    near, far = net.connection(family, 5000)
    near.sendall(b"after the header")
    assert parse_proxy_v2(far) == (*near.getsockname()[:2], family.remote, 5000)
    assert receive(far, 16) == b"after the header"
    far.sendall(b"no header back")
    assert receive(near, 14) == b"no header back"
    assert gateway.took(far, family)


def test_proxy_protocol_is_sent_before_the_client_speaks(net, gateway, family):
    gateway.start(serve(5000, proxy_protocol="v2"))
    near, far = net.connection(family, 5000)
    assert parse_proxy_v2(far)[:2] == near.getsockname()[:2]


def test_engine_of_a_port_overrides_the_gateways(net, gateway, family):
    gateway.start(serve(5000, engine="splice"))
    near, far = net.connection(family, 5000)
    echo(near, far)
    flow = wait_for(lambda: gateway.flow_of(near), "the flow is shown")
    assert flow["engine"] in ("splice", "relay")
    assert flow["up"]["kernel_bytes"] == 0

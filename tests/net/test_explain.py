# SPDX-License-Identifier: GPL-2.0
"""sluice explain: what it says of a connection is what becomes of it."""
import json

import pytest

from gateway import serve
from rig import IPV4, IPV6, echo, wait_for

pytestmark = pytest.mark.stealing


def explain(gateway, client, remote):
    return json.loads(gateway.sluice("explain", client, remote, "-j").stdout)


def name_of(sock):
    name = sock.getsockname()
    return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"


def value(said, counter):
    return next(each["value"] for each in said["counters"] if each["counter"] == counter)


@pytest.mark.parametrize("connect, first, others", [
    ("honest", "syn_held", ["syn_reinjected", "to_leg"]), ("early", "syn_early", ["to_leg"])])
def test_the_counters_that_it_names_are_those_that_rise(net, gateway, family, connect, first, others):
    gateway.start(serve(5000, connect=connect))
    remote = family.at(family.remote, 5000)
    said = explain(gateway, family.client, remote)
    assert (said["outcome"], said["reason"]) == ("taken", first)
    assert [each["counter"] for each in said["counters"]] == [first, *others]
    assert all(each["value"] == 0 and each["meaning"] for each in said["counters"])
    near, far = net.connection(family, 5000)
    echo(near, far)
    again = explain(gateway, family.client, remote)
    assert value(again, first) == 1
    assert value(again, "to_leg") >= 1


def not_served(gateway):
    return 5001


def withdrawn(gateway):
    gateway.sluice("drain")
    return 5000


@pytest.mark.parametrize("prepare, reason", [(not_served, "no_port"), (withdrawn, "draining")],
                         ids=lambda value: getattr(value, "__name__", ""))
def test_what_is_forwarded_hits_the_counter_that_it_names(net, gateway, family, prepare, reason):
    gateway.start(serve(5000))
    port = prepare(gateway)
    said = explain(gateway, family.client, family.at(family.remote, port))
    assert (said["outcome"], said["reason"], said["params"]) == ("forwarded", reason, {})
    _, far = net.connection(family, port)
    assert far.getpeername()[0] == family.client
    after = explain(gateway, family.client, family.at(family.remote, port))
    assert value(after, reason) > value(said, reason)


def test_a_full_table_is_told(net, gateway, family):
    gateway.start(serve(5000, address=family.blackhole), half_open=1)
    net.client.start_connect(family, family.blackhole, 5000)
    wait_for(lambda: gateway.counters()["syn_held"] == 1, "the SYN is held")
    said = explain(gateway, family.client, family.at(family.blackhole, 5000))
    assert (said["outcome"], said["reason"]) == ("forwarded", "half_open_full")


def test_running_flows_are_told_with_their_engine_and_why(net, gateway, family):
    gateway.start(serve(5000))
    near, far = net.connection(family, 5000)
    other, its_far = net.connection(family, 5000)
    echo(near, far)
    echo(other, its_far)
    remote = family.at(family.remote, 5000)
    both = explain(gateway, family.client, remote)["flows"]
    assert {flow["client"] for flow in both} == {name_of(near), name_of(other)}
    one, = explain(gateway, name_of(near), remote)["flows"]
    assert one["client"] == name_of(near)
    assert one["engine"] in ("splice", "kernel", "relay")
    assert f"engine = {gateway.engine}" in one["why"], "the choice that led to it is named"
    text = gateway.sluice("explain", name_of(near), remote).stdout
    assert f"flow {one['id']}" in text and one["why"] in text


def test_an_engine_that_is_not_offered_is_the_reason(net, gateway, monkeypatch):
    monkeypatch.setenv("SLUICE_SELF_TEST", "fail")
    gateway.start(serve(5000), engine="kernel")
    near, far = net.connection(IPV4, 5000)
    echo(near, far)
    flow, = explain(gateway, name_of(near), IPV4.at(IPV4.remote, 5000))["flows"]
    assert flow["engine"] == "splice"
    assert "not offered" in flow["why"]


@pytest.mark.parametrize("argv", [["10.1.0.2", "10.2.0.2"], ["10.1.0.300", "10.2.0.2:80"],
                                  ["10.1.0.2:0", "10.2.0.2:80"]], ids=" ".join)
def test_wrong_usage(gateway, argv):
    gateway.start(serve(5000))
    assert gateway.sluice("explain", *argv, check=False).returncode == 2


@pytest.mark.intercepts("xdp")
def test_no_address_for_legs_to_land_at_is_told(net, gateway):
    """A gateway without IPv6 of its own between networks that have it."""
    gateway.start(serve(5000))
    remote = IPV6.at(IPV6.remote, 5000)
    assert explain(gateway, IPV6.client, remote)["outcome"] == "taken"
    own = [("lan0", IPV6.with_bits(IPV6.lan)), ("wan0", IPV6.with_bits(IPV6.wan))]
    net.gateway.ip(f"route add {IPV6.client}/128 dev lan0",
                   *(f"address del dev {dev} {address}" for dev, address in own))
    try:
        wait_for(lambda: explain(gateway, IPV6.client, remote)["reason"] == "no_listen_port",
                 "it is told")
    finally:
        net.gateway.ip(*(f"address add dev {dev} {address}" for dev, address in own),
                       f"route del {IPV6.client}/128 dev lan0",
                       f"route replace default via {IPV6.router}")
    wait_for(lambda: explain(gateway, IPV6.client, remote)["outcome"] == "taken", "it is back")
    near, far = net.connection(IPV6, 5000)
    assert gateway.took(far, IPV6)
    echo(near, far)

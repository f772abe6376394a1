# SPDX-License-Identifier: GPL-2.0
"""Which connections are taken and which are forwarded, and the tables that say so."""
import contextlib
import ipaddress
import json
import socket

import pytest

from gateway import serve
from peer import carry, finished_remote_slow_client, receive_digest
from rig import IPV4, SOCKET_TIMEOUT, echo, reset, run, stopped, wait_for

pytestmark = pytest.mark.intercepts


def accept(listener):
    sock, _ = listener.accept()
    sock.settimeout(SOCKET_TIMEOUT)
    return sock


@pytest.mark.smoke
def test_a_port_that_is_served_is_taken_and_another_is_forwarded(net, gateway, family):
    gateway.start(serve(5000))
    for port in 5000, 5001:
        near, far = net.connection(family, port)
        echo(near, far)
        if not gateway.straight:
            expected = family.wan if port == 5000 else family.client
            assert far.getpeername()[0] == expected
    with gateway.counting(no_port=(1,)):
        net.connection(family, 5001)


@pytest.mark.stealing
def test_a_remote_without_a_proxy_is_forwarded(net, gateway, family):
    gateway.start(serve(5000, address=family.silent))
    with gateway.counting(no_proxy=(1,), joined=0):
        near, far = net.connection(family, 5000)
        echo(near, far)
    assert far.getpeername()[0] == family.client


@pytest.mark.stealing
def test_what_is_not_tcp_is_forwarded(net, gateway, family):
    gateway.start(serve(5000))
    with gateway.counting(not_tcp=(2,)):
        server = net.remote.socket(family.af, socket.SOCK_DGRAM)
        server.bind((family.remote, 5000))
        client = net.client.socket(family.af, socket.SOCK_DGRAM)
        client.sendto(b"datagram", (family.remote, 5000))
        assert server.recvfrom(100)[0] == b"datagram"
        net.client.run("ping", "-c", "1", "-W", "2", family.remote)


# ---- entries that come and go ----

@pytest.mark.stealing
@pytest.mark.smoke
def test_a_flow_older_than_its_entry_goes_on_untouched(net, gateway, family):
    gateway.start()
    near, far = net.connection(family, 5000)
    echo(near, far)
    gateway.sluice("add", family.remote, "5000")
    with gateway.counting(older_flow=(1,)):
        echo(near, far)
        carry(near, far, 1 << 20)
    fresh, remote = net.connection(family, 5000)
    assert gateway.took(remote, family)
    echo(fresh, remote)
    echo(near, far)
    assert far.getpeername()[0] == family.client


@pytest.mark.stealing
@pytest.mark.parametrize("what", ["port", "proxy"])
def test_an_entry_removed_leaves_its_running_flows(net, gateway, family, what):
    gateway.start(serve(5000))
    near, far = net.connection(family, 5000)
    assert gateway.took(far, family)
    gateway.sluice("del", family.remote, *(["5000"] if what == "port" else []))
    echo(near, far)
    fresh, remote = net.connection(family, 5000)
    assert remote.getpeername()[0] == family.client, "a new connection was still taken"
    echo(fresh, remote)
    echo(near, far)
    near.close()
    assert far.recv(1) == b""
    far.close()
    wait_for(lambda: not [p for p in gateway.show("ports")["ports"]
                          if p["address"] == family.remote], "the entry goes with its last flow")


@pytest.mark.stealing
def test_an_entry_removed_without_flows_is_gone_at_once_to_who_looks(gateway, family):
    gateway.start(serve(5000, 5001))

    def shown():
        ports = [port["service_port"] for port in gateway.show("ports")["ports"]
                 if port["address"] == family.remote]
        proxies = [proxy["ports"] for proxy in gateway.show("proxies")["proxies"]
                   if proxy["address"] == family.remote]
        status = gateway.show("status")
        return ports, proxies, status["ports"], status["proxies"]

    assert shown() == ([5000, 5001], [2], 4, 2)
    gateway.sluice("del", family.remote, "5000")
    assert shown() == ([5001], [1], 3, 2)
    gateway.sluice("del", family.remote)
    assert shown() == ([], [], 2, 1)


@pytest.mark.stealing
def test_an_entry_removed_under_a_held_syn_leaves_the_client_one_connection(net, gateway, family):
    """The relay has not looked at it yet, so it is no flow that main could know of."""
    gateway.start(serve(5000))
    with net.remote.listen(family, family.remote, 5000) as listener:
        with stopped(gateway.relays()):
            near = net.client.start_connect(family, family.remote, 5000)
            wait_for(lambda: gateway.counters()["syn_held"], "the SYN is held")
            gateway.sluice("del", family.remote)
        far = accept(listener)
        near.settimeout(SOCKET_TIMEOUT)
        echo(near, far)


@pytest.mark.stealing
def test_an_entry_removed_makes_way_for_one_of_the_other_kind_at_once(gateway, family):
    gateway.start(serve(5000, address=family.router))
    gateway.sluice("del", family.router)
    gateway.sluice("add", family.router, "5000", "nexthop")
    port, = gateway.show("ports")["ports"]
    assert (port["nexthop"], port["state"]) == (True, "active")


@pytest.mark.stealing
def test_an_entry_removed_keeps_what_a_slow_client_has_not_taken_yet(net, gateway, family):
    """The remote has finished, the client reads later, the entry goes in between."""
    gateway.start(serve(5000))
    near, stream = finished_remote_slow_client(net, family)
    gateway.sluice("del", family.remote)
    with contextlib.suppress(AssertionError):  # it may well stay until the client has it all
        wait_for(lambda: not [p for p in gateway.show("ports")["ports"]
                              if p["address"] == family.remote], "the entry goes", 2)
    near.settimeout(8)
    assert receive_digest(near) == (stream.size, stream.digest())


@pytest.mark.stealing
def test_an_entry_removed_and_added_again_is_served_again(net, gateway, family):
    gateway.start(serve(5000))
    near, far = net.connection(family, 5000)
    gateway.sluice("del", family.remote, "5000")
    gateway.sluice("add", family.remote, "5000")
    _, remote = net.connection(family, 5000)
    assert gateway.took(remote, family)
    echo(near, far)


@pytest.mark.stealing
def test_add_takes_a_trunk_port_and_parameters(net, gateway, family):
    gateway.start()
    gateway.sluice("add", family.remote, "80:5000", "flow-control=reno", "idle-timeout=5m")
    with net.remote.listen(family, family.remote, 5000) as listener:
        near = net.client.connect(family, family.remote, 80)
        echo(near, accept(listener))
    flow = gateway.flow_of(near)
    assert (flow["trunk_port"], flow["wan"]["cc"]) == (5000, "reno")


# ---- next hops ----

@pytest.mark.stealing
def test_a_next_hop_entry_serves_the_site_behind_the_router(net, gateway, family):
    """Any destination whose packets would go to that router, on the ports that it serves."""
    gateway.start(serve(5000, address=family.router, nexthop=True))
    near, far = net.connection(family, 5000)
    echo(near, far)
    assert gateway.took(far, family)
    assert near.getpeername()[0] == family.remote
    other, forwarded = net.connection(family, 5001)
    echo(other, forwarded)
    assert forwarded.getpeername()[0] == family.client


@pytest.mark.stealing
def test_a_flow_by_a_next_hop_entry_outlives_a_change_of_route(net, gateway, family):
    """Its packets are still the leg's, though they would go to another router now."""
    other = str(ipaddress.ip_address(family.router) + 70)
    gateway.start(serve(5000, address=family.router, nexthop=True))
    near, far = net.connection(family, 5000)
    echo(near, far)
    net.wan.ip(f"address add dev west {family.with_bits(other)}")
    net.gateway.ip(f"route add {family.remote} via {other}", family=family)
    try:
        echo(near, far)
        later, forwarded = net.connection(family, 5000)
        echo(later, forwarded)
        assert forwarded.getpeername()[0] == family.client
    finally:
        net.gateway.ip(f"route del {family.remote} via {other}", family=family)
        net.wan.ip(f"address del dev west {other}/{family.bits}")


@pytest.mark.stealing
def test_a_proxy_of_the_destination_comes_before_that_of_the_next_hop(net, gateway, family):
    gateway.start(serve(5000, address=family.router, nexthop=True, trunk=5009),
                  serve(5000, address=family.remote))
    near, far = net.connection(family, 5000)
    echo(near, far)
    assert gateway.took(far, family)


@pytest.mark.stealing
def test_an_address_that_is_no_next_hop_entry_does_not_serve_a_site(net, gateway, family):
    gateway.start(serve(5000, address=family.router))
    near, far = net.connection(family, 5000)
    echo(near, far)
    assert far.getpeername()[0] == family.client


# ---- links ----

def test_a_vlan_on_the_lan_interface_is_served_by_its_parent(net, gateway, family):
    with net.vlan():
        gateway.start(serve(5000))
        with net.remote.listen(family, family.remote, 5000) as listener, \
                gateway.counting(joined=2):
            for source in family.vlan_client, family.client:
                near = net.client.connect(family, family.remote, 5000, source=(source, 0))
                far = accept(listener)
                carry(near, far, 4 << 20)
                echo(near, far)
                if not gateway.straight:
                    assert far.getpeername()[0] == family.wan
        with pytest.raises(ConnectionRefusedError):
            net.client.connect(family, family.remote, 5000, source=(family.vlan_client, 0))


@pytest.mark.stealing
def test_an_interface_attached_later_is_served_and_detached_is_not(net, gateway, family):
    gateway.start(serve(5000), lan=["wan0"], wan=[])
    assert net.connection(family, 5000)[1].getpeername()[0] == family.client
    gateway.sluice("attach", "lan0")
    near, far = net.connection(family, 5000)
    assert gateway.took(far, family)
    done = gateway.sluice("detach", "lan0", check=False)
    assert done.returncode == 1, "a flow is running there, which detaching would break"
    echo(near, far)
    reset(near)
    wait_for(lambda: not gateway.flows(), "the flow ends")
    gateway.sluice("detach", "lan0")
    fresh, remote = net.connection(family, 5000)
    assert remote.getpeername()[0] == family.client
    echo(fresh, remote)


@pytest.mark.stealing
def test_the_gateways_own_connections_are_left_alone(net, gateway, family):
    gateway.start(serve(5000))
    with net.remote.listen(family, family.remote, 5000) as listener, gateway.counting(joined=0):
        near = net.gateway.connect(family, family.remote, 5000)
        echo(near, accept(listener))


@pytest.mark.stealing
def test_a_client_may_talk_to_the_gateway_itself(net, gateway, family):
    """A service of the gateway's own on the same port is not confused with the remote's."""
    gateway.start(serve(5000))
    with net.gateway.listen(family, family.lan, 5000) as listener, gateway.counting(joined=0):
        near = net.client.connect(family, family.lan, 5000)
        echo(near, accept(listener))


@pytest.mark.stealing
def test_a_served_port_is_free_for_the_gateways_own_services(net, gateway, family):
    """While flows to that port of a remote run, and after."""
    gateway.start(serve(5000))
    near, far = net.connection(family, 5000)
    echo(near, far)
    net.gateway.listen(family, "", 5000)


# ---- tables ----

@pytest.mark.stealing
def test_bpftool_shows_the_tables_by_name(net, gateway):
    gateway.start(serve(80, trunk=5000))

    def entries(table):
        dump = json.loads(run("bpftool", "-j", "map", "dump", "pinned",
                              f"{gateway.pin_dir}/{table}").stdout)
        return [entry["formatted"] for entry in dump]

    proxies = entries("proxy_table")
    assert len(proxies) == 2
    assert {tuple(p["value"]) for p in proxies} == {("proxy_id", "flags")}
    ports = entries("port_table")
    assert {p["key"]["service_port"] for p in ports} == {80}
    assert {p["value"]["trunk_port"] for p in ports} == {5000}
    assert {p["key"]["proxy_id"] for p in ports} == {p["value"]["proxy_id"] for p in proxies}
    params = {entry["key"]: entry["value"] for entry in entries("param_table")}
    assert all("flow_control" in params[p["value"]["params_id"]] for p in ports)


@pytest.mark.stealing
def test_100000_ports_on_10000_proxies_are_loaded_and_found(net, gateway):
    """By XDP, where each has a listen port of its own, half as many as there are ports."""
    family = IPV4
    count = 9999 if gateway.intercept == "tc" else 2999
    others = (f"10.{100 + n // 62500}.{n // 250 % 250}.{n % 250 + 1}" for n in range(count))
    ports = "".join(f"port {5000 + n} {{ }} " for n in range(10))
    text = "".join(f'proxy "{address}" {{ {ports}}}\n'
                   for address in [*others, family.remote])
    ways = {} if gateway.intercept == "tc" else {"listen_ports": "20000-49999"}
    gateway.start(text, timeout=90, max_proxies=16_384, max_ports=131_072, **ways)
    assert len(gateway.show("ports")["ports"]) == 10 * (count + 1)
    near, far = net.connection(family, 5007)
    echo(near, far)
    assert gateway.took(far, family)
    assert "10.100.9.247" in gateway.sluice("explain", family.client,
                                            "10.100.9.247:5003").stdout


@pytest.mark.stealing
def test_more_ports_than_listen_ports_are_refused(net, gateway):
    """With what to do, and what was served before goes on."""
    if gateway.intercept == "tc":
        pytest.skip("entries have listen ports with xdp alone")
    gateway.start(serve(5000), listen_ports="10240-10242")
    gateway.sluice("add", IPV4.remote, "5001")
    done = gateway.sluice("add", IPV4.remote, "5002", check=False)
    assert done.returncode == 1
    assert "listen-ports" in done.stderr
    near, far = net.connection(IPV4, 5001)
    echo(near, far)
    assert gateway.took(far, IPV4)


@pytest.mark.stealing
@pytest.mark.parametrize("where, port, why", [
    ("remote", 5000, None), ("remote", 5001, "no_port"), ("silent", 5000, "no_proxy"),
], ids=["taken", "no-port", "no-proxy"])
def test_explain_says_what_becomes_of_a_connection(net, gateway, family, where, port, why):
    """And is right: a connection has just that fate."""
    gateway.start(serve(5000, flow_control="reno"))
    remote = family.at(getattr(family, where), port)
    said = gateway.sluice("explain", family.client, remote).stdout
    if why is None:
        assert "taken" in said and "not taken" not in said
        assert "reno" in said, "what the flow would get"
        near, far = net.connection(family, port)
        assert gateway.took(far, family)
    else:
        assert "forwarded" in said or "not taken" in said
        with gateway.counting(**{why: (1,)}):
            net.client.start_connect(family, getattr(family, where), port)


@pytest.mark.stealing
def test_only_four_bits_of_the_mark_are_ours(net, gateway):
    """The policy rules look at no other, so that other software may use the rest."""
    gateway.start(serve(5000))
    masks = {rule["fwmask"] for version in ("-4", "-6")
             for rule in net.gateway.json("ip", version, "-j", "rule") if "fwmark" in rule}
    assert masks == {"0xf0000000"}

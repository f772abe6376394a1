# SPDX-License-Identifier: GPL-2.0
"""
sluice doctor on what keeps connections from being taken: firewalls, marks and policy
rules. Each does so until the cure is typed.
"""
import os

import pytest

from agent import Agent, policy, registrar, service, wait_registered
from doctor import cured, doctor, ids, nft, sites, taken
from gateway import serve
from rig import IPV4, echo, wait_for

pytestmark = pytest.mark.stealing


def drop_unless_established(gateway):
    nft(gateway, "add table inet filter",
        "add chain inet filter input { type filter hook input priority 0; policy drop; }",
        "add rule inet filter input meta l4proto ipv6-icmp accept",
        "add rule inet filter input ct state established,related accept")


def reject_in_a_chain_of_its_own(gateway):
    nft(gateway, "add table inet filter", "add chain inet filter lan",
        "add rule inet filter lan tcp dport 22 accept",
        "add rule inet filter lan tcp dport 1-65535 reject",
        "add chain inet filter input { type filter hook input priority 0; }",
        'add rule inet filter input iifname "lan*" jump lan')


def restore_marks(gateway):
    nft(gateway, "add table inet mangle",
        "add chain inet mangle pre { type filter hook prerouting priority -150; }",
        "add rule inet mangle pre meta mark set ct mark")


def redirect_ports(gateway):
    nft(gateway, "add table inet squid",
        "add chain inet squid pre { type nat hook prerouting priority -100; }",
        "add rule inet squid pre iifname lan0 tcp dport 5000 redirect to :3129")


@pytest.mark.intercepts("tc")
@pytest.mark.parametrize("provoke, name", [
    (drop_unless_established, "firewall-drops"),
    (reject_in_a_chain_of_its_own, "firewall-drops"),
    (restore_marks, "mark-overwritten"),
    (redirect_ports, "firewall-redirects"),
], ids=lambda value: getattr(value, "__name__", ""))
def test_a_firewall_in_the_way(net, gateway, family, ruleset, provoke, name):
    """It does keep connections from being taken, until the cure is typed."""
    in_the_way(net, gateway, family, provoke, name)


@pytest.mark.intercepts("xdp")
@pytest.mark.parametrize("provoke", [drop_unless_established, reject_in_a_chain_of_its_own],
                         ids=lambda value: value.__name__)
def test_a_firewall_in_the_way_of_listen_ports(net, gateway, family, ruleset, provoke):
    in_the_way(net, gateway, family, provoke, "firewall-drops")


def in_the_way(net, gateway, family, provoke, name):
    gateway.start(serve(5000))
    wait_for(lambda: taken(net, gateway, family), "connections are taken")
    provoke(gateway)
    assert not taken(net, gateway, family), "the provocation does not provoke"
    cured(gateway, name)
    wait_for(lambda: taken(net, gateway, family), "connections are taken again")


@pytest.mark.intercepts("tc")  # by XDP all packets are for listen ports, whoever registers
def test_a_firewall_in_the_way_of_what_agents_will_register(gateway, ruleset):
    gateway.sluice("keygen", os.path.join(gateway.directory, "site.key"))
    gateway.configure(sites("10.2.0.0/24"))
    nft(gateway, "add table inet filter",
        "add chain inet filter input { type filter hook input priority 0; }",
        "add rule inet filter input ip daddr 10.2.0.0/24 tcp dport 5000 drop")
    cured(gateway, "firewall-drops")


@pytest.mark.intercepts("tc")
def test_a_firewall_that_keeps_agents_out(net, gateway, family, ruleset):
    """And lets through what is taken."""
    gateway.start(registrar(), policy(gateway))
    nft(gateway, "add table inet filter",
        "add chain inet filter input { type filter hook input priority 0; policy drop; }",
        "add rule inet filter input iifname lo accept",
        "add rule inet filter input icmpv6 type 133-136 accept",
        "add rule inet filter input meta mark and 0xf0000000 == 0x50000000 accept",
        "add rule inet filter input ct state established,related accept")
    Agent(gateway, family).start(service(5000))
    cured(gateway, "registrar-blocked")
    wait_registered(gateway, family.remote, 5000, timeout=30)


@pytest.mark.intercepts("tc")
def test_a_policy_rule_before_ours(net, gateway, family):
    gateway.start(serve(5000))
    net.gateway.ip("rule add pref 10 from all iif lan0 lookup main", family=family)
    try:
        assert not taken(net, gateway, family), "the provocation does not provoke"
        cured(gateway, "rule-before-ours")
        wait_for(lambda: taken(net, gateway, family), "connections are taken")
    finally:
        for pref in 10, 1000:
            net.gateway.run("ip", family.option, "rule", "del", "pref", pref, check=False)


@pytest.mark.intercepts("tc")
def test_a_policy_rule_for_packets_with_a_tos_is_not_said_to_take_all(net, gateway):
    """Nor is one without it advised, which would."""
    gateway.start(serve(5000))
    net.gateway.ip("rule add pref 10 from all tos 0x10 lookup main", family=IPV4)
    try:
        finding, = doctor(gateway)[1]["rule-before-ours"]
        assert (finding["severity"], finding["cure"]) == ("warning", [])
    finally:
        net.gateway.ip("rule del pref 10", family=IPV4)


@pytest.mark.intercepts("tc")
def test_policy_routing_that_somebody_has_removed(net, gateway, family):
    gateway.start(serve(5000))
    net.gateway.ip("rule del pref 75", family=family)
    assert not taken(net, gateway, family), "the provocation does not provoke"
    cured(gateway, "routing-incomplete")
    wait_for(lambda: taken(net, gateway, family), "connections are taken")


def test_a_policy_rule_with_our_bits_of_the_mark(net, gateway):
    gateway.configure(serve(5000))
    net.gateway.ip("rule add pref 2000 fwmark 0x10000000/0xf0000000 lookup main", family=IPV4)
    try:
        _, findings = doctor(gateway)
        assert findings["mark-in-use"][0]["severity"] == "warning"
    finally:
        net.gateway.ip("rule del pref 2000", family=IPV4)
    assert "mark-in-use" not in doctor(gateway)[1]


def test_a_rule_that_gives_our_mark(gateway, ruleset):
    gateway.configure(serve(5000))
    nft(gateway, "add table inet vpn",
        "add chain inet vpn out { type route hook output priority -150; }",
        "add rule inet vpn out udp dport 53 meta mark set 0x50000001")
    cured(gateway, "mark-taken")


def test_masquerading_of_wan_legs_with_their_clients_address(net, gateway, ruleset):
    gateway.start(serve(5000, source="client"), wan=["wan0"])
    nft(gateway, "add table ip nat",
        "add chain ip nat post { type nat hook postrouting priority 100; }",
        "add rule ip nat post oifname wan0 masquerade")

    assert not taken(net, gateway, IPV4), "the provocation does not provoke"
    cured(gateway, "nat-hides-client")
    near, far = net.connection(IPV4, 5000)
    echo(near, far)
    assert far.getpeername()[0] == IPV4.client


def test_a_firewall_that_lets_everything_of_ours_through_is_no_finding(gateway, ruleset):
    gateway.configure(serve(5000, 443))
    ports = "10240-29999" if gateway.intercept == "xdp" else "443, 5000-5010"
    nft(gateway, "add table inet filter", "add set inet filter bad { type ipv4_addr; }",
        "add chain inet filter input { type filter hook input priority 0; policy drop; }",
        "add rule inet filter input ip saddr @bad drop",
        "add rule inet filter input udp dport 53 drop",
        f'add rule inet filter input iifname {{ "lo", "lan0" }} tcp dport {{ {ports} }} accept',
        "add rule inet filter input ct state established accept")
    status, findings = doctor(gateway)
    assert (status, ids(findings)) == (0, {"not-running"})

# SPDX-License-Identifier: GPL-2.0
"""Remotes register themselves: sluice-agent, the registrar, and what main makes of it."""
import contextlib
import json
import os
import signal
import socket
import threading
import time

import pytest

from agent import LEASE, REGISTRAR_PORT, Agent, policy, registered, registrar, service, \
    wait_registered
from gateway import alive, serve
from rig import IPV4, IPV6, echo, resident_bytes, wait_for

pytestmark = pytest.mark.stealing


@pytest.fixture
def open_gateway(gateway):
    """A gateway with the identity "site", for all of the remote."""
    gateway.start(registrar(), policy(gateway))
    return gateway


def taken(net, gateway, family, port):
    """Whether a new connection to the remote is taken; it must work in any case."""
    near, far = net.connection(family, port)
    echo(near, far)
    result = gateway.took(far, family)
    near.close()
    far.close()
    return result


# ---- the main thing ----

@pytest.mark.smoke
def test_a_registered_service_is_taken_and_shown(net, open_gateway, family):
    gateway = open_gateway
    assert not taken(net, gateway, family, 5000)
    Agent(gateway, family).start(service(5000), service(5001, trunk=5001, rate="100mbit"))
    wait_registered(gateway, family.remote, 5000, 5001)
    near, far = net.connection(family, 5000)
    echo(near, far)
    assert gateway.took(far, family)
    assert not taken(net, gateway, family, 5002)

    entry = registered(gateway, family.remote, 5001)
    assert (entry["identity"], entry["origin"], entry["trunk_port"]) == ("site", "agent", 5001)
    assert 0 < entry["expires_s"] <= LEASE
    proxy = [one for one in gateway.show("proxies")["proxies"]
             if one["address"] == family.remote][0]
    assert (proxy["identity"], proxy["ports"], proxy["agent"]) == ("site", 2, "0.1.0")
    assert proxy["path"]["rtt_us"] > 0 and {"delivery_bps", "retrans"} <= set(proxy["path"])
    assert gateway.flow_of(near)["identity"] == "site"
    values = {one["id"]: one["values"] for one in gateway.show("params")["params"]}
    assert values[entry["params"]]["rate"] == "100mbit"
    assert "rtt" in values[entry["params"]], "the path's round trip stands in for the agent's"


def test_sigterm_withdraws(net, open_gateway, family):
    gateway = open_gateway
    agent = Agent(gateway, family).start(service(5000))
    wait_registered(gateway, family.remote, 5000)
    assert agent.stop() == 0
    assert not registered(gateway, family.remote, 5000)
    assert gateway.counters()["withdrawn"] == 1
    assert not taken(net, gateway, family, 5000)

# SPDX-License-Identifier: GPL-2.0
"""Remotes register themselves: sluice-agent, the registrar, and what main makes of it."""
import os
import signal
import time

import pytest

from agent import (AGENT, LEASE, REGISTER, REGISTRAR_PORT, Agent, Talker, logged, policy, registered,
                   registrar, registrar_pid, service, wait_registered)
from gateway import alive, serve
from peer import Knocker
from rig import IPV4, IPV6, SOCKET_TIMEOUT, echo, wait_for

pytestmark = pytest.mark.stealing


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


def test_a_renewed_service_outlives_its_lease(net, open_gateway, family):
    gateway = open_gateway
    Agent(gateway, family).start(service(5000))
    wait_registered(gateway, family.remote, 5000)
    end = time.monotonic() + 2.5 * LEASE
    while time.monotonic() < end:
        assert taken(net, gateway, family, 5000)
        time.sleep(0.1)
    assert gateway.counters()["renewed"] >= 3
    assert gateway.counters()["expired"] == 0


def test_no_connection_fails_when_the_agent_is_killed(net, open_gateway, family):
    """After the lease connections go straight; what runs goes on."""
    gateway = open_gateway
    agent = Agent(gateway, family).start(service(5000), service(5001))
    wait_registered(gateway, family.remote, 5000, 5001)
    near, far = net.connection(family, 5001)
    with Knocker(net, gateway, family, 5000) as knocker:
        wait_for(lambda: knocker.taken and knocker.taken[-1], "connections are taken")
        agent.kill()
        wait_for(lambda: not knocker.taken[-1], "connections go straight", 15 * LEASE)
        time.sleep(0.2)
    assert not knocker.failed, knocker.failed
    assert knocker.taken == sorted(knocker.taken, reverse=True), "taken, straight, taken again"
    assert gateway.counters()["expired"] == 2
    echo(near, far)
    assert registered(gateway, family.remote, 5001, "draining")


def test_an_agent_that_is_back_within_the_lease_keeps_its_entries(net, gateway, family):
    gateway.start(registrar(lease=30), policy(gateway))
    agent = Agent(gateway, family).start(service(5000))
    wait_registered(gateway, family.remote, 5000)
    with Knocker(net, gateway, family, 5000) as knocker:
        agent.kill()
        Agent(gateway, family).start(service(5000))
        wait_for(lambda: gateway.counters()["changed"], "the agent is back")
    assert not knocker.failed and all(knocker.taken)


def test_sighup_adds_and_withdraws_while_connected(net, open_gateway, family):
    gateway = open_gateway
    agent = Agent(gateway, family).start(service(5000), service(5001))
    wait_registered(gateway, family.remote, 5000, 5001)
    before = gateway.counters()["connections"]
    agent.reload(service(5001, flow_control="reno"), service(5002))
    wait_registered(gateway, family.remote, 5002)
    wait_for(lambda: not registered(gateway, family.remote, 5000), "5000 is withdrawn")
    near, far = net.connection(family, 5001)
    echo(near, far)
    assert gateway.flow_of(near)["wan"]["cc"] == "reno"
    assert gateway.counters()["connections"] == before


def test_sighup_with_a_bad_file_keeps_the_old_one(net, open_gateway, family):
    gateway = open_gateway
    agent = Agent(gateway, family).start(service(5000))
    wait_registered(gateway, family.remote, 5000)
    agent.reload("service 99999 { }\n")
    agent.says(f"{agent.config}:")
    agent.says("old configuration stays")
    time.sleep(1.5 * LEASE)
    assert taken(net, gateway, family, 5000)


def test_agents_are_back_after_the_gateway_was_restarted(net, gateway, family):
    gateway.start(registrar(), policy(gateway))
    Agent(gateway, family).start(service(5000))
    wait_registered(gateway, family.remote, 5000)
    assert gateway.stop() == 0
    gateway.start(registrar(), policy(gateway))
    wait_registered(gateway, family.remote, 5000)
    assert taken(net, gateway, family, 5000)


def test_one_agent_serves_several_gateways(net, open_gateway, family):
    """Here one gateway under two names; the second is another connection of the identity."""
    gateway = open_gateway
    agent = Agent(gateway, family).start(service(5000), registrars=[
        family.at(family.wan, REGISTRAR_PORT), family.at(family.lan, REGISTRAR_PORT)])
    agent.says("gateway gw0: registered")
    agent.says("gateway gw1: registered")
    assert taken(net, gateway, family, 5000)


def test_a_site_router_registers_for_the_servers_behind_it(net, gateway, family):
    """The address is the gateway's next hop; the remote behind it knows nothing of it."""
    gateway.start(registrar(), policy(gateway, addresses=[IPV4.router, IPV6.router]))
    Agent(gateway, family, namespace=net.wan).start(
        service(5000), addresses=[family.router], nexthop=True)
    wait_registered(gateway, family.router, 5000)
    assert registered(gateway, family.router, 5000)["nexthop"]
    assert taken(net, gateway, family, 5000)
    assert not taken(net, gateway, family, 5001)


def connection_to(net, family, address, port):
    """As net.connection(), to another address of the remote."""
    with net.remote.listen(family, address, port) as listener:
        near = net.client.connect(family, address, port)
        far, _ = listener.accept()
    net.remote.sockets.append(far)
    far.settimeout(SOCKET_TIMEOUT)
    return near, far


def test_one_site_router_serves_three_servers_and_none_of_another(net, gateway, family):
    """The fourth has the same network, but the gateway reaches it by another next hop."""
    servers = [f"{family.remote}{last}" for last in range(1, 4)]
    elsewhere = f"{family.remote}4"
    other_router = f"{family.router}9"
    # addresses as well as routes are taken back: the network is the module's
    net.wan.ip(f"address add {family.with_bits(other_router)} dev west")
    net.remote.ip(*(f"address add {family.with_bits(one)} dev eth0"
                    for one in (*servers, elsewhere)))
    net.gateway.ip(f"route add {elsewhere} via {other_router}", family=family)
    try:
        gateway.start(registrar(), policy(gateway, addresses=[family.router]))
        Agent(gateway, family, namespace=net.wan).start(
            service(5000), addresses=[family.router], nexthop=True)
        wait_registered(gateway, family.router, 5000)
        flows = [connection_to(net, family, one, 5000) for one in servers]
        for (near, far), server in zip(flows, servers):
            echo(near, far)
            assert gateway.took(far, family)
            assert near.getpeername()[0] == far.getsockname()[0] == server
        assert {flow["remote"] for flow in gateway.flows()} == \
            {family.at(server, 5000) for server in servers}
        near, far = connection_to(net, family, elsewhere, 5000)
        echo(near, far)
        assert not gateway.took(far, family)
        net.close_sockets()
    finally:
        net.gateway.ip(f"route del {elsewhere} via {other_router}", family=family)
        net.remote.ip(*(f"address del {one}/{family.bits} dev eth0"
                        for one in (*servers, elsewhere)))
        net.wan.ip(f"address del {other_router}/{family.bits} dev west")


# ---- what is refused ----

def test_what_the_policy_does_not_allow_is_refused_by_rule(net, gateway, family):
    """The agent is told the rule; its other services are kept."""
    gateway.start(registrar(), policy(gateway, ports=["5000-5001"]))
    agent = Agent(gateway, family).start(
        service(5000), service(5001, flow_control="nonesuch"), service(6000),
        addresses=[family.remote, family.silent])
    agent.says(f"refuses {family.at(family.remote, 6000)}: port: ")
    agent.says(f"refuses {family.at(family.silent, 5000)}: address: ")
    agent.says("outside the addresses of policy \"site\"")
    wait_registered(gateway, family.remote, 5000)
    counters = gateway.counters()
    assert counters["refused_address"] >= 2 and counters["refused_port"] >= 1
    assert not registered(gateway, family.silent, 5000)
    time.sleep(2.5 * LEASE)
    assert agent.output().count(family.at(family.remote, 6000)) == 1, "told once"
    assert taken(net, gateway, family, 5000)


def test_an_address_belongs_to_the_identity_that_was_first(net, gateway, family):
    gateway.start(registrar(), policy(gateway), policy(gateway, "other"))
    first = Agent(gateway, family).start(service(5000))
    wait_registered(gateway, family.remote, 5000)
    second = Agent(gateway, family, "other").start(service(5000), service(5001))
    second.says('taken: this address is registered by identity "site" already')
    assert 'identity "other" is refused: taken: this address is registered by' in \
        logged(gateway)[0]
    wait_for(lambda: gateway.counters()["refused_taken"] >= 2, "both services are refused")
    assert not registered(gateway, family.remote, 5001)
    assert registered(gateway, family.remote, 5000)["identity"] == "site"
    assert first.stop() == 0
    wait_registered(gateway, family.remote, 5000, 5001)
    assert registered(gateway, family.remote, 5000)["identity"] == "other"


def test_a_static_entry_is_not_an_agents_to_take(net, gateway, family):
    gateway.start(registrar(), policy(gateway), serve(5000))
    agent = Agent(gateway, family).start(service(5000), service(5001))
    agent.says("taken: this address is a static entry")
    assert registered(gateway, family.remote, 5000)["origin"] == "config"


def test_a_static_entry_takes_the_address_from_an_agent(net, open_gateway, family):
    gateway = open_gateway
    agent = Agent(gateway, family).start(service(5000), service(5001))
    wait_registered(gateway, family.remote, 5000, 5001)
    gateway.sluice("add", family.remote, "5000")
    assert registered(gateway, family.remote, 5000)["origin"] == "cli"
    assert not registered(gateway, family.remote, 5001)
    agent.says("taken: this address is a static entry")


def test_of_a_change_that_is_refused_nothing_is_left(net, open_gateway, family):
    """What was registered before is not what the remote is run with any more."""
    gateway = open_gateway
    agent = Agent(gateway, family).start(service(5000))
    wait_registered(gateway, family.remote, 5000)
    agent.reload(service(5000, trunk=5001, flow_control="nosuch"))
    agent.says("params: ")
    wait_for(lambda: not registered(gateway, family.remote, 5000), "it is withdrawn")
    _, far = net.connection(family, 5000)
    assert not gateway.took(far, family)
    agent.reload(service(5000))
    wait_registered(gateway, family.remote, 5000)


@pytest.mark.parametrize("what", [("5001", "flow-control=nosuch"), ("5000", "flow-control=nosuch"),
                                  ("5001", "flow-control=nosuch", "nexthop")], ids=" ".join)
def test_a_static_entry_that_is_refused_takes_nothing_from_an_agent(net, open_gateway, family,
                                                                    what):
    gateway = open_gateway
    Agent(gateway, family).start(service(5000), service(5001))
    wait_registered(gateway, family.remote, 5000, 5001)
    done = gateway.sluice("add", family.remote, *what, check=False)
    assert (done.returncode, "nosuch" in done.stderr) == (1, True), done.stderr
    assert all(registered(gateway, family.remote, port)["origin"] == "agent"
               for port in (5000, 5001))


def test_a_static_next_hop_takes_no_address_with_running_flows_from_an_agent(net, open_gateway,
                                                                             family):
    gateway = open_gateway
    Agent(gateway, family).start(service(5000))
    wait_registered(gateway, family.remote, 5000)
    near, far = net.connection(family, 5000)
    done = gateway.sluice("add", family.remote, "5001", "nexthop", check=False)
    assert (done.returncode, "not a next-hop entry" in done.stderr) == (1, True), done.stderr
    assert registered(gateway, family.remote, 5000)["origin"] == "agent"
    echo(near, far)


@pytest.mark.kills
def test_a_killed_registrar_comes_back_and_so_do_its_agents(net, open_gateway, family):
    gateway = open_gateway
    Agent(gateway, family).start(service(5000))
    wait_registered(gateway, family.remote, 5000)
    pid = registrar_pid(gateway)
    with Knocker(net, gateway, family, 5000) as knocker:
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not alive(pid) and gateway.counters()["changed"], "it is back")
        time.sleep(1.5 * LEASE)
    assert not knocker.failed and all(knocker.taken)
    assert gateway.show("status")["registrar"]["restarts"] == 1


# ---- policies at work ----

def test_an_identity_has_no_more_flows_than_its_policy_allows(net, gateway, family):
    gateway.start(registrar(), policy(gateway, max_flows=2))
    Agent(gateway, family).start(service(5000))
    wait_registered(gateway, family.remote, 5000)
    flows = [net.connection(family, 5000) for _ in range(2)]
    wait_for(lambda: registered(gateway, family.remote, 5000, "full"), "it is full")
    with gateway.counting(identity_full=1):
        assert not taken(net, gateway, family, 5000)
    said = gateway.sluice("explain", family.client, family.at(family.remote, 5000)).stdout
    assert "all the flows" in said
    for near, far in flows:
        echo(near, far)
        near.close()
        far.close()
    wait_registered(gateway, family.remote, 5000)
    assert taken(net, gateway, family, 5000)


def test_an_identity_with_all_its_flows_registers_nothing_more(net, gateway):
    """What it has it may change."""
    gateway.start(registrar(), policy(gateway, max_flows=1))
    talker = Talker(gateway, IPV4)
    talker.hello()
    talker.send(REGISTER)
    talker.expect("ok", id=1)
    near, far = net.connection(IPV4, 5000)
    wait_for(lambda: registered(gateway, IPV4.remote, 5000, "full"), "it is full")
    with gateway.counting(refused_flows=1, changed=1):
        talker.send({**REGISTER, "id": 2, "service": 5001}, {**REGISTER, "id": 3})
        why = talker.expect("refused", id=2, rule="flows")["error"]
        talker.expect("ok", id=3)
    assert f"is refused: flows: {why}" in logged(gateway)[0]
    echo(near, far)
    near.close()
    far.close()
    wait_registered(gateway, IPV4.remote, 5000)
    talker.send({**REGISTER, "id": 4, "service": 5001})
    talker.expect("ok", id=4)


def test_a_policy_that_is_gone_takes_its_entries_with_it(net, gateway, family):
    other = policy(gateway, "other", addresses=["192.0.2.0/24"])
    gateway.start(registrar(), policy(gateway), other)
    Agent(gateway, family).start(service(5000), service(5001))
    wait_registered(gateway, family.remote, 5000, 5001)
    near, far = net.connection(family, 5001)
    gateway.configure(registrar(), other)
    with gateway.counting(revoked=2):
        gateway.sluice("reload")
    assert not registered(gateway, family.remote, 5000)
    assert registered(gateway, family.remote, 5001, "draining")
    assert not taken(net, gateway, family, 5000)
    echo(near, far)
    wait_for(lambda: gateway.counters()["unknown_identity"], "the agent does not get in")
    gateway.configure(registrar(), other, policy(gateway))
    gateway.sluice("reload")
    wait_registered(gateway, family.remote, 5000, 5001)


def test_a_narrower_policy_takes_what_it_does_not_allow(net, gateway, family):
    gateway.start(registrar(), policy(gateway))
    agent = Agent(gateway, family).start(service(5000), service(5001))
    wait_registered(gateway, family.remote, 5000, 5001)
    pid = registrar_pid(gateway)
    gateway.configure(registrar(), policy(gateway, ports=[5001]))
    with gateway.counting(revoked=1, refused_lease=1, refused_port=(1,)):
        gateway.sluice("reload")
        assert not registered(gateway, family.remote, 5000)
        agent.says(f"refuses {family.at(family.remote, 5000)}: port: ")
    assert 'identity "site" is refused: lease: some services were withdrawn' in \
        logged(gateway)[0]
    assert registered(gateway, family.remote, 5001)
    assert registrar_pid(gateway) == pid, "nothing that the registrar knows has changed"


# ---- keys and files ----

def test_keygen_makes_a_key_once(gateway):
    path = os.path.join(gateway.directory, "new.key")
    gateway.sluice("keygen", path)
    assert os.stat(path).st_mode & 0o777 == 0o600
    with open(path) as text:
        first = text.read()
    assert len(bytes.fromhex(first)) == 32
    done = gateway.sluice("keygen", path, check=False)
    assert done.returncode == 1 and "exists" in done.stderr
    other = gateway.sluice("keygen").stdout
    assert len(bytes.fromhex(other)) == 32 and other != first


def test_a_key_that_others_can_read_is_refused(gateway):
    section = policy(gateway)
    os.chmod(os.path.join(gateway.directory, "site.key"), 0o640)
    gateway.configure(registrar(), section)
    done = gateway.try_start()
    assert done.returncode == 1
    assert "chmod 600" in done.stderr and f"{gateway.config}:" in done.stderr


def test_an_address_in_use_is_said_at_the_start(net, gateway):
    net.gateway.listen(IPV4, "0.0.0.0", REGISTRAR_PORT)
    gateway.configure('registrar { listen = "0.0.0.0:7471" }\n', policy(gateway))
    done = gateway.try_start()
    assert done.returncode == 1
    assert "0.0.0.0:7471" in done.stderr and "in use" in done.stderr


def test_the_agents_check_reports_every_mistake(gateway, net):
    agent = Agent(gateway, IPV4, key=os.path.join(gateway.directory, "none.key"))
    agent.configure("service 0 { }\nservice 80 { rate = fast }\n")
    done = net.remote.run(AGENT, "-c", agent.config, "--check", check=False)
    assert done.returncode == 1
    assert len([line for line in done.stderr.splitlines()
                if line.startswith(f"{agent.config}:")]) == 3, done.stderr

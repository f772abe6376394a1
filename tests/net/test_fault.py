# SPDX-License-Identifier: GPL-2.0
"""What breaks and what goes on when the daemon or a part of it dies."""
import os
import signal
import time

import pytest

from gateway import SLUICE, alive, serve
from peer import Server, Task, echo_handler, endless_handler
from rig import IPV4, SOCKET_TIMEOUT, Unsupported, echo, reset, stopped, wait_for

pytestmark = [pytest.mark.stealing, pytest.mark.intercepts]

MIB = 1 << 20


def read_to_the_end(sock):
    """'reset' or 'end', and how many bytes came before it."""
    count = 0
    try:
        while part := sock.recv(1 << 20):
            count += len(part)
    except (ConnectionResetError, TimeoutError) as error:
        return ("reset" if isinstance(error, ConnectionResetError) else "silence"), count
    return "end", count


def flood(sock):
    """Sends until the connection breaks; gives the name of what broke it."""
    try:
        while True:
            sock.sendall(bytes(MIB))
    except OSError as error:
        return type(error).__name__


@pytest.mark.smoke
def test_a_daemon_killed_under_load_does_not_black_hole_the_lan(net, gateway, family):
    """New connections work at once (go straight), running flows are reset, none ends cleanly."""
    gateway.start(serve(5000, 5001))
    with Server(net.remote.listen(family, family.remote, 5000), endless_handler), \
            Server(net.remote.listen(family, family.remote, 5001), echo_handler) as echoes:
        downloads = [net.client.connect(family, family.remote, 5000) for _ in range(8)]
        for sock in downloads:
            assert sock.recv(1)
        idle = [net.client.connect(family, family.remote, 5001) for _ in range(8)]
        uploads = [net.connection(family, 5002) for _ in range(2)]  # never taken: port 5002
        readers = [Task(read_to_the_end, sock) for sock in downloads]
        wait_for(lambda: len(echoes.peers) == 8, "all are accepted")
        assert all(peer[0] == family.wan for peer in echoes.peers)
        gateway.kill()
        near = net.client.connect(family, family.remote, 5001, timeout=10)
        near.sendall(b"straight")
        assert near.recv(8) == b"straight"
        assert near.getpeername()[0] == family.remote
        wait_for(lambda: echoes.peers[-1][0] == family.client, "the new connection went straight")
        for reader in readers:
            how, count = reader.result()
            assert how == "reset", f"a flow of a killed daemon: {how} after {count} bytes"
        for sock in idle:
            assert read_to_the_end(sock)[0] == "reset"
        for one, other in uploads:
            echo(one, other)


@pytest.mark.parametrize("direction", ["upload", "download"])
def test_a_transfer_of_a_killed_daemon_never_ends_cleanly(net, gateway, family, direction):
    gateway.start(serve(5000))
    near, far = net.connection(family, 5000)
    out, into = (near, far) if direction == "upload" else (far, near)
    sending, reading = Task(flood, out), Task(read_to_the_end, into)
    wait_for(lambda: sum(f["up"]["bytes"] + f["down"]["bytes"] for f in gateway.flows()) > MIB,
             "the transfer is under way")
    gateway.kill()
    assert reading.result()[0] == "reset"
    assert sending.result() in ("ConnectionResetError", "BrokenPipeError")


def test_a_daemon_takes_over_what_a_killed_one_left(net, gateway, family):
    gateway.start(serve(5000))
    gateway.kill()
    gateway.expect_exit = False
    gateway.start(serve(5000))
    near, far = net.connection(family, 5000)
    echo(near, far)
    assert gateway.took(far, family)


def test_a_relay_killed_resets_its_flows_and_no_other(net, gateway, family):
    """New connections work at once, and are taken again when the relay is back."""
    gateway.start(serve(5000), workers=2)
    relays = gateway.relays()
    assert len(relays) == 2
    flows = [net.connection(family, 5000) for _ in range(24)]
    for near, far in flows:
        echo(near, far)
        assert gateway.took(far, family)
    os.kill(relays[0], signal.SIGKILL)
    wait_for(lambda: not alive(relays[0]), "the relay is dead")

    near, far = net.connection(family, 5000, timeout=10)
    echo(near, far)

    def ends():
        """How each flow is: reset on both sides, or alive."""
        states = []
        for one, other in flows:
            try:
                echo(one, other)
                states.append("alive")
            except (ConnectionResetError, BrokenPipeError):
                states.append("reset")
        return states

    states = ends()
    assert "reset" in states, "the dead relay owned none of 24 flows"
    assert "alive" in states, "the other relay's flows are gone too"
    assert ends() == states, "a flow changed its mind"

    wait_for(lambda: len([pid for pid in gateway.relays() if pid != relays[0]]) == 2,
             "the relay is started again")

    def all_taken():
        fresh = [net.connection(family, 5000) for _ in range(8)]
        taken = [gateway.took(remote, family) for _, remote in fresh]
        for pair in fresh:
            for sock in pair:
                reset(sock)
        return all(taken)

    wait_for(all_taken, "connections are taken again")


def test_connections_half_open_in_a_killed_relay_get_through(net, gateway, family):
    """Their SYNs were held by the dead relay; sent again, they get through."""
    gateway.start(serve(5000), workers=1)
    with net.remote.listen(family, family.remote, 5000) as listener:
        with net.slow(there=0.5):
            waiting = [net.client.start_connect(family, family.remote, 5000) for _ in range(4)]
            wait_for(lambda: gateway.counters()["syn_held"] >= 4, "four SYNs are held")
            os.kill(gateway.relays()[0], signal.SIGKILL)

        def connected():
            for sock in waiting:
                try:
                    sock.getpeername()
                except OSError:
                    return False
            return True

        wait_for(connected, "the clients' next SYNs get through", 15)
        listener.settimeout(5)
        answered = set()
        for sock in waiting:
            sock.settimeout(10)
            sock.sendall(b"x")
        # connections of the dead relay may be in the queue too: they end
        while len(answered) < len(waiting):
            far, peer = listener.accept()
            far.settimeout(10)
            try:
                if far.recv(1) == b"x":
                    answered.add(peer)
            except ConnectionResetError:
                pass
            far.close()


@pytest.mark.parametrize("connect", ["honest", "early"])
def test_a_firewall_that_drops_what_is_taken_does_not_black_hole_the_lan(net, gateway, family,
                                                                         connect):
    """They are late, but they are forwarded."""
    gateway.start(serve(5000, connect=connect))
    with gateway.barred(family), net.remote.listen(family, family.remote, 5000) as listener, \
            gateway.counting(forwarded=1):
        near = net.client.connect(family, family.remote, 5000)
        seen = [listener.accept() for _ in range(2)]
        far = next(sock for sock, peer in seen if peer[0] == family.client)
        far.settimeout(SOCKET_TIMEOUT)
        echo(near, far)
        for sock, _ in seen:
            sock.close()
    assert "firewall" in gateway.output()


def test_a_stopped_relay_gets_no_new_connections(net, gateway, family):
    """It is alive and does nothing: its heartbeat grows old, and SYNs go straight.
    When it wakes up, it leaves alone what has found its way without it."""
    gateway.start(serve(5000), workers=1)
    near, far = net.connection(family, 5000)
    assert gateway.took(far, family)
    relay = gateway.relays()[0]
    listener = net.remote.listen(family, family.remote, 5000)
    os.kill(relay, signal.SIGSTOP)
    try:
        # the first SYN may be held; the next comes a second later, and goes straight
        fresh = net.client.connect(family, family.remote, 5000, timeout=10)
        remote, peer = listener.accept()
        remote.settimeout(SOCKET_TIMEOUT)
        assert peer[0] == family.client
        echo(fresh, remote)
    finally:
        os.kill(relay, signal.SIGCONT)
    wait_for(lambda: gateway.counters()["syns"] >= 2, "the relay sees the SYN it slept over")
    echo(near, far)
    time.sleep(0.5)  # time for the relay to do the wrong thing
    for _ in range(3):
        echo(fresh, remote)


def test_a_relay_leaves_alone_what_it_has_overslept(net, gateway, family):
    """The client's next SYN has gone to the remote itself. The relay's own connection there
    ends when the relay wakes, and neither is it kept nor does the client hear of it."""
    gateway.start(serve(5000), workers=1)
    with net.slow(there=1.0), net.remote.listen(family, family.remote, 5000) as listener:
        near = net.client.start_connect(family, family.remote, 5000)
        wait_for(gateway.flows, "the relay connects")
        with stopped(gateway.relays()):
            accepted = {peer[0]: far for far, peer in (listener.accept() for _ in range(2))}
        assert set(accepted) == {family.client, family.wan}
        for far in accepted.values():
            far.settimeout(5)
        with pytest.raises(ConnectionResetError):
            accepted[family.wan].recv(1)
        near.settimeout(SOCKET_TIMEOUT)
        echo(near, accepted[family.client])
        for far in accepted.values():
            far.close()
    wait_for(lambda: gateway.counters()["abandoned"] == 1, "it is given up")


@pytest.mark.intercepts("tc")
def test_a_syn_that_passes_gets_past_an_old_leg_of_its_tuple(net, gateway, family):
    """The leg in TIME_WAIT has the remote's address, and what the kernel finds a socket for
    it does not forward."""
    gateway.start(serve(5000), workers=1)
    source = family.client, 40123
    with net.remote.listen(family, family.remote, 5000) as listener:
        near = net.client.connect(family, family.remote, 5000, source=source)
        far, _ = listener.accept()
        far.close()
        assert near.recv(1) == b""
        near.close()
        wait_for(lambda: family.remote in net.gateway.run(
            "ss", "-Htn", "state", "time-wait", "sport = :5000").stdout, "the leg is in TIME_WAIT")
        with stopped(gateway.relays()):
            wait_for(lambda: gateway.show("status")["relays"][0]["state"] == "hung", "it hangs")
            near = net.client.connect(family, family.remote, 5000, source=source, timeout=10)
            far, peer = listener.accept()
            assert peer[:2] == source
            echo(near, far)
            far.close()


@pytest.mark.intercepts("tc")
def test_many_questions_outlive_the_relay_that_they_are_for(gateway):
    """They wait in line, and the first is never answered."""
    gateway.start(serve(5000), workers=1)
    relay, = gateway.relays()
    path = os.path.join(gateway.run_dir, "control.sock")
    with stopped([relay]):
        asked = [gateway.namespace.spawn(SLUICE, "--run-dir", gateway.run_dir, "show", "flows",
                                         "-j") for _ in range(4)]
        wait_for(lambda: gateway.namespace.run("ss", "-Hx").stdout.count(path) >= 4,
                 "all have asked")
        os.kill(relay, signal.SIGKILL)
        assert [process.wait() for process in asked] == [0] * 4
    wait_for(lambda: gateway.relays() not in ([], [relay]), "it is replaced")


def test_a_client_that_has_vanished_is_given_up_and_nothing_is_forwarded(net, gateway):
    """It was answered: no firewall keeps SYNs from the relay, it is the client that is gone."""
    gateway.start(serve(5000, connect="early" if gateway.intercept == "tc" else "honest"))
    table = "inet sluice-test"
    done = net.client.run("nft", f"add table {table} {{ chain input {{ type filter hook input "
                          "priority 0; tcp sport 5000 drop; }; }", check=False)
    if done.returncode:
        raise Unsupported("no nftables for what a client does not get")
    try:
        with net.remote.listen(IPV4, IPV4.remote, 5000):
            net.client.start_connect(IPV4, IPV4.remote, 5000).close()
            wait_for(lambda: gateway.counters()["abandoned"], "it is given up", 20)
    finally:
        net.client.run("nft", f"delete table {table}")
    assert gateway.counters()["forwarded"] == 0
    assert "firewall" not in gateway.output()


def test_a_lost_lan_interface_does_not_end_the_daemon(net, gateway):
    """An interface may go; what is attached elsewhere goes on."""
    net.link(net.gateway, "extra0", net.client, "extra1")
    gone = False
    try:
        gateway.start(serve(5000), lan=["lan0", "extra0"])
        net.gateway.ip("link del extra0")
        gone = True
        near, far = net.connection(IPV4, 5000)
        echo(near, far)
        assert gateway.took(far, IPV4)
        net.close_sockets()
        assert gateway.stop() == 0
        gateway.expect_exit = True
    finally:
        if not gone:
            net.gateway.ip("link del extra0")

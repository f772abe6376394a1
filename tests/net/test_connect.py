# SPDX-License-Identifier: GPL-2.0
"""Honest connect: a client learns of the remote what it would learn without the gateway."""
import contextlib
import errno
import math
import select
import socket
import time

import pytest

from gateway import serve
from rig import IPV4, SOCKET_TIMEOUT, Capture, echo, receive, wait_for

pytestmark = pytest.mark.intercepts

HANDSHAKE_SECONDS = 45  # the gateway waits so long, at most, for a client that is gone


@pytest.mark.smoke
def test_a_closed_port_is_refused_at_once(net, gateway, family):
    """By one RST from the remote's address that answers the client's one SYN."""
    gateway.start(serve(5000))
    capture = Capture(net.client, "eth0")
    with gateway.counting(refused=1), pytest.raises(ConnectionRefusedError):
        net.client.connect(family, family.remote, 5000)
    syn, answer = capture.segments(lambda s: 5000 in (s.source_port, s.target_port))
    assert syn.is_syn and syn.outgoing
    assert answer.is_reset and (answer.source, answer.source_port) == (family.remote, 5000)
    assert answer.acknowledgement == (syn.sequence + 1) % (1 << 32)


def error_of(net, family, address):
    """The name of the error that a client's connect() gives."""
    with pytest.raises(OSError) as error:
        net.client.connect(family, address, 5000)
    return errno.errorcode[error.value.errno]


@pytest.mark.parametrize("why", ["unreachable", "prohibited", "noroute", "silent"])
def test_an_unreachable_remote_gives_the_error_it_gives_without_us(net, gateway, family, why):
    """The one that the router on the way reports."""
    address = getattr(family, why)
    expected = error_of(net, family, address)
    assert expected in ("EHOSTUNREACH", "ENETUNREACH", "EACCES")
    gateway.start(serve(5000, address=address))
    with gateway.counting(unreachable=1):
        assert error_of(net, family, address) == expected


def test_a_dead_remote_is_silent(net, gateway, family):
    gateway.start(serve(5000, address=family.blackhole))
    capture = Capture(net.client, "eth0")
    with gateway.counting(syn_held=1), pytest.raises(TimeoutError):
        net.client.connect(family, family.blackhole, 5000, timeout=2.5)
    assert not capture.segments(lambda s: s.source == family.blackhole)
    assert len(capture.segments(lambda s: s.is_syn and s.target == family.blackhole)) >= 2


@pytest.mark.smoke
def test_the_syn_is_answered_only_after_the_remote_accepted(net, gateway, family):
    gateway.start(serve(5000))
    capture = Capture(net.gateway, "lan0", "wan0")
    near, far = net.connection(family, 5000)
    echo(near, far)
    answers = capture.segments(lambda s: s.is_syn_ack and s.source_port == 5000)
    ways = [(s.device, s.outgoing) for s in answers]
    assert ways == [("wan0", False), ("lan0", True)]
    assert gateway.took(far, family)


def test_connect_takes_the_time_of_the_wan(net, gateway, family):
    gateway.start(serve(5000))
    with net.slow(there=0.1, back=0.1):
        began = time.monotonic()
        near, far = net.connection(family, 5000)
        assert time.monotonic() - began >= 0.2
        echo(near, far)
        assert gateway.took(far, family)


def wan_leg_ports(capture, family):
    """The source ports that SYNs to the remote came from on the WAN."""
    return {s.source_port for s in capture.segments(
        lambda s: s.is_syn and s.device == "wan0" and s.target == family.remote)}


def test_a_syn_sent_again_opens_no_second_wan_leg(net, gateway, family):
    gateway.start(serve(5000))
    capture = Capture(net.gateway, "wan0")
    sent = Capture(net.client, "eth0")
    with net.slow(there=1.4), gateway.counting(joined=1, syn_held=1, syn_retransmit=(1,)):
        near, far = net.connection(family, 5000)
        echo(near, far)
    sent = sent.segments(lambda s: s.is_syn and s.outgoing)
    assert len(sent) >= 2, "the client sent its SYN only once, so nothing was tested"
    assert len(wan_leg_ports(capture, family)) == 1


@pytest.mark.stealing
def test_a_remote_that_refuses_late_is_still_refused(net, gateway, family):
    gateway.start(serve(5000))
    with net.slow(there=0.3), gateway.counting(refused=1), \
            pytest.raises(ConnectionRefusedError):
        net.client.connect(family, family.remote, 5000)


@pytest.mark.stealing
def test_a_held_syn_that_is_lost_on_its_way_back_in_is_sent_again(net, gateway, family):
    """And not only when the gateway has given up and the client tries once more."""
    gateway.start(serve(5000))
    with net.remote.listen(family, family.remote, 5000), \
            gateway.counting(joined=1, abandoned=0):
        with gateway.barred(family):
            near = net.client.start_connect(family, family.remote, 5000)
            wait_for(lambda: gateway.counters()["syn_reinjected"], "the SYN goes back in")
        assert select.select([], [near], [], SOCKET_TIMEOUT)[1]


@pytest.mark.stealing
@pytest.mark.parametrize("connect", ["honest", "early"])
def test_a_gateway_that_answers_with_syn_cookies_knows_the_client_again(net, gateway, family,
                                                                        connect):
    """It does so when its queue is full, or always, and then keeps no request that would be found."""
    net.gateway.sysctl(ipv4__tcp_syncookies=2)
    try:
        gateway.start(serve(5000, connect=connect))
        near, far = net.connection(family, 5000)
        echo(near, far)
        assert gateway.took(far, family)
    finally:
        net.gateway.sysctl(ipv4__tcp_syncookies=1)


@pytest.mark.stealing
def test_a_client_that_gave_up_leaves_no_connection_at_the_remote(net, gateway):
    family = IPV4  # it takes the gateway ten seconds, and both families the same way
    gateway.start(serve(5000))
    with net.remote.listen(family, family.remote, 5000) as listener, net.slow(there=0.4):
        net.client.start_connect(family, family.remote, 5000).close()
        far, _ = listener.accept()
        far.settimeout(HANDSHAKE_SECONDS)
        with contextlib.suppress(ConnectionResetError):
            assert far.recv(1) == b""
        far.close()
    wait_for(lambda: gateway.counters()["abandoned"] == 1, "it is counted")
    wait_for(lambda: not gateway.flows(), "no flow is left")


@pytest.mark.stealing
def test_a_new_try_from_the_same_port_replaces_the_old_one(net, gateway, family):
    gateway.start(serve(5000))
    source = (family.client, 40001)
    with net.remote.listen(family, family.remote, 5000) as listener, \
            net.slow(there=1.5), gateway.counting(superseded=1, joined=1):
        net.client.start_connect(family, family.remote, 5000, source=source).close()
        wait_for(gateway.flows, "the relay has the first SYN")
        near = net.client.connect(family, family.remote, 5000, source=source)
        near.sendall(b"second")
        ends = [listener.accept()[0]]
        # the WAN leg of the first try may have got as far as the remote, or not
        listener.settimeout(3)
        with contextlib.suppress(TimeoutError):
            ends.append(listener.accept()[0])
        heard = []
        for far in ends:
            far.settimeout(SOCKET_TIMEOUT)
            with contextlib.suppress(ConnectionResetError):
                heard.append(receive(far, 6))
        assert [text for text in heard if text] == [b"second"]


# ---- connect = early ----

@pytest.mark.stealing
def test_early_answers_before_the_remote(net, gateway, family):
    """Even for a remote that never answers."""
    gateway.start(serve(5000, address=family.blackhole, connect="early"))
    with gateway.counting(syn_early=1):
        net.client.connect(family, family.blackhole, 5000)


@pytest.mark.stealing
def test_early_keeps_what_is_said_before_the_remote_accepted(net, gateway, family):
    gateway.start(serve(5000, connect="early"))
    with net.remote.listen(family, family.remote, 5000) as listener, net.slow(there=1.0):
        near = net.client.connect(family, family.remote, 5000)
        near.sendall(b"said early, ")
        assert not select.select([listener], [], [], 0)[0], "the remote has accepted already"
        far, _ = listener.accept()
        far.settimeout(SOCKET_TIMEOUT)
        near.sendall(b"said later")
        near.shutdown(socket.SHUT_WR)
        assert receive(far, 64) == b"said early, said later"
        far.sendall(b"heard")
        far.close()
        assert receive(near, 64) == b"heard"


@pytest.mark.stealing
def test_early_resets_when_the_remote_refuses(net, gateway, family):
    gateway.start(serve(5000, connect="early"))
    with gateway.counting(syn_early=1), pytest.raises(ConnectionResetError):
        net.client.connect(family, family.remote, 5000).recv(1)


# ---- limits ----

@pytest.mark.stealing
def test_a_client_over_its_budget_is_forwarded(net, gateway, family):
    """Four half-open connections are allowed, so the fifth SYN goes its own way."""
    gateway.start(serve(5000, address=family.blackhole), half_open_per_client=4)
    capture = Capture(net.gateway, "wan0")
    with gateway.counting(syn_held=4, client_over_budget=(1,)):
        first = [net.client.start_connect(family, family.blackhole, 5000) for _ in range(4)]
        wait_for(lambda: gateway.counters()["syn_held"] == 4, "four SYNs are held")
        fifth = net.client.start_connect(family, family.blackhole, 5000)
        port = fifth.getsockname()[1]
        wait_for(lambda: capture.segments(
            lambda s: s.is_syn and (s.source, s.source_port) == (family.client, port)),
            "the fifth SYN is forwarded as it is")
    own = {sock.getsockname()[1] for sock in first}
    assert not capture.segments(lambda s: s.source == family.client and s.source_port in own)


@pytest.mark.stealing
def test_connections_that_ended_give_their_budget_back(net, gateway, family):
    gateway.start(serve(5000), half_open_per_client=4)
    with gateway.counting(refused=10, client_over_budget=0):
        for _ in range(10):
            with pytest.raises(ConnectionRefusedError):
                net.client.connect(family, family.remote, 5000)
    with gateway.counting(joined=10, client_over_budget=0):
        for _ in range(10):
            near, far = net.connection(family, 5000)
            echo(near, far)


@pytest.mark.stealing
def test_all_half_open_together_have_a_budget(net, gateway, family):
    gateway.start(serve(5000, address=family.blackhole), half_open=4)
    with gateway.counting(half_open_full=(1,)):
        for _ in range(6):
            net.client.start_connect(family, family.blackhole, 5000)


@pytest.mark.stealing
def test_a_remote_that_dies_in_the_handshake_is_silent(net, gateway, family):
    gateway.start(serve(5000))
    with net.slow(back=math.inf), pytest.raises(TimeoutError):
        net.client.connect(family, family.remote, 5000, timeout=2)

# SPDX-License-Identifier: GPL-2.0
"""
The XDP way in: how it is attached and goes, beside whom, what it leaves alone, and
going over to it and back. That it takes connections as tc does is held by all tests
that are marked `intercepts`.
"""
import contextlib
import hashlib
import ipaddress
import json
import os
import signal
import socket
import threading
import time

import pytest

from doctor import doctor, type_cures
from gateway import BUILD, SLUICE, pids_in, serve, title
from peer import Server, Task, echo_handler, receive_digest
from rig import IPV4, SOCKET_TIMEOUT, Capture, Unsupported, echo, reset, run, wait_for

pytestmark = [pytest.mark.stealing, pytest.mark.intercepts("xdp")]


def mode_of(gateway, device="lan0"):
    """native, generic or none, as `show status` says."""
    return {one["dev"]: one["xdp"] for one in gateway.show("status")["interfaces"]}[device]


def programs_on(namespace, device="lan0"):
    """Names of the XDP programs that the kernel has on a device, those of a dispatcher too."""
    return namespace.run("xdp-loader", "status", device, check=False).stdout


def listen_ports(gateway, family):
    return [port["listen_port"] for port in gateway.show("ports")["ports"]
            if port["address"] == family.remote]


# ---- attaching ----

def test_status_says_how_the_program_is_attached(net, gateway):
    gateway.start(serve(5000))
    status = gateway.show("status")
    assert status["intercept"] == "xdp"
    assert mode_of(gateway) == "native", "veth has XDP of its own"
    assert mode_of(gateway, "wan0") == "none"
    said = gateway.sluice("show", "status").stdout
    assert "intercept xdp" in said and "native" in said
    assert "sluice_lan" in programs_on(net.gateway)


def test_a_driver_without_xdp_gets_the_generic_kind(net, gateway):
    """A bridge has none of its own."""
    done = net.gateway.run("ip", "link", "add", "other0", "type", "bridge", check=False)
    if done.returncode:
        raise Unsupported("no bridges")
    try:
        net.gateway.ip("link set other0 up")
        gateway.start(serve(5000), lan=["lan0", "other0"])
        assert (mode_of(gateway), mode_of(gateway, "other0")) == ("native", "generic")
    finally:
        net.gateway.ip("link del other0")


def test_a_host_without_libxdps_dispatcher_is_told(net, gateway):
    """Before anything is attached, and by --check and the doctor as well."""
    gateway.configure(serve(5000))
    nowhere = ("env", "LIBXDP_OBJECT_PATH=/nonexistent")
    for extra in (), ("--check",):
        done = gateway.try_start(*nowhere, extra=extra)
        assert done.returncode == 1
        assert "libxdp1" in done.stderr and "intercept = tc" in done.stderr
    done = net.gateway.run(*nowhere, SLUICE, "doctor", "-c", gateway.config, check=False)
    assert done.returncode == 1
    assert "XDP dispatcher" in done.stdout and "libxdp1" in done.stdout
    assert gateway.try_start(extra=("--check",)).returncode == 0


def test_an_interface_without_ethernet_is_refused(net, gateway):
    net.gateway.ip("tuntap add tun0 mode tun", "link set tun0 up")
    try:
        gateway.configure(serve(5000), lan=["tun0"])
        done = gateway.try_start()
        assert done.returncode == 1
        assert "tun0" in done.stderr and "use tc" in done.stderr
    finally:
        net.gateway.ip("link del tun0")


def test_a_program_that_shares_with_nobody_is_not_touched(net, gateway):
    """Attached without libxdp, it has the interface for itself: sluiced says so and does not start."""
    pin = os.path.join("/sys/fs/bpf", os.path.basename(gateway.directory) + "-other")
    run("bpftool", "prog", "load", os.path.join(BUILD, "tests", "other_xdp.bpf.o"), pin)
    try:
        net.gateway.run("bpftool", "net", "attach", "xdp", "pinned", pin, "dev", "lan0")
        before = gateway.before = gateway.traces()
        gateway.configure(serve(5000))
        done = gateway.try_start()
        assert done.returncode == 1
        assert "lan0" in done.stderr and "leaves no room" in done.stderr
        assert gateway.traces() == before
    finally:
        net.gateway.run("bpftool", "net", "detach", "xdp", "dev", "lan0", check=False)
        os.unlink(pin)


@pytest.fixture
def shared(net):
    """The kernel lets several programs share an interface."""
    with other_program(net):
        if "xdp_dispatcher" not in programs_on(net.gateway):
            pytest.skip("this kernel has no BPF functions that can be replaced, which is how "
                        "programs share an interface")


@contextlib.contextmanager
def other_program(net, *mode):
    """A program of somebody else's on lan0, by libxdp; it drops datagrams to port 4000."""
    path = os.path.join(BUILD, "tests", "other_xdp.bpf.o")
    net.gateway.run("xdp-loader", "load", *mode, "lan0", path)
    try:
        yield
    finally:
        net.gateway.run("xdp-loader", "unload", "lan0", "--all")


def assert_other_works(net, family):
    """What it is to drop does not arrive; what comes later does."""
    with contextlib.ExitStack() as stack:
        dropped, passed = (stack.enter_context(contextlib.closing(
            net.remote.socket(family.af, 2))) for _ in range(2))
        for sock, port in (dropped, 4000), (passed, 4001):
            sock.bind((family.remote, port))
        with contextlib.closing(net.client.socket(family.af, 2)) as client:
            client.sendto(b"one", (family.remote, 4000))
            client.sendto(b"two", (family.remote, 4001))
        assert passed.recv(10) == b"two"
        dropped.setblocking(False)
        with pytest.raises(BlockingIOError):
            dropped.recv(10)


@pytest.mark.parametrize("kind, expected", [((), "native"), (("-m", "skb"), "generic")],
                         ids=["native", "generic"])
def test_another_program_on_the_interface_survives_ours(net, gateway, family, shared, kind,
                                                        expected):
    """It works before, while and after ours is there, and ours while it is there."""
    with other_program(net, *kind):
        gateway.before = gateway.traces()
        assert_other_works(net, family)
        gateway.start(serve(5000))
        assert mode_of(gateway) == expected
        assert_other_works(net, family)
        near, far = net.connection(family, 5000)
        echo(near, far)
        assert gateway.took(far, family)
        reset(near)
        reset(far)
        wait_for(lambda: not gateway.flows(), "the flow ends")
        assert gateway.stop() == 0
        gateway.expect_exit = True
        assert "sluice_lan" not in programs_on(net.gateway)
        assert "other_xdp" in programs_on(net.gateway)
        assert_other_works(net, family)


def test_another_program_may_come_and_go_while_ours_is_there(net, gateway, family, shared):
    gateway.start(serve(5000))
    near, far = net.connection(family, 5000)
    path = os.path.join(BUILD, "tests", "other_xdp.bpf.o")
    net.gateway.run("xdp-loader", "load", "lan0", path)
    assert_other_works(net, family)
    echo(near, far)
    number = next(line.split()[-3] for line in programs_on(net.gateway).splitlines()
                  if "other_xdp" in line)
    net.gateway.run("xdp-loader", "unload", "lan0", "--id", number)
    echo(near, far)
    fresh, remote = net.connection(family, 5000)
    assert gateway.took(remote, family)
    echo(fresh, remote)


# ---- the process that holds it ----

def holder_of(gateway):
    """The process of sluiced that neither main nor a relay is."""
    known = {gateway.process.pid, *gateway.relays()}
    pids = [pid for pid in pids_in(gateway.namespace)
            if title(pid).startswith("sluiced") and pid not in known]
    assert len(pids) == 1, pids
    return pids[0]


def test_the_program_goes_when_the_daemon_is_killed(net, gateway):
    gateway.start(serve(5000))
    gateway.kill()
    wait_for(lambda: "sluice_lan" not in programs_on(net.gateway), "the program is detached")
    assert net.gateway.json("bpftool", "-j", "net")[0]["xdp"] == []


def test_without_its_holder_flows_go_on_and_the_next_start_cleans_up(net, gateway, family):
    gateway.start(serve(5000))
    near, far = net.connection(family, 5000)
    os.kill(holder_of(gateway), signal.SIGKILL)
    echo(near, far)
    fresh, remote = net.connection(family, 5000)
    assert gateway.took(remote, family)
    echo(fresh, remote)
    gateway.kill()
    assert "sluice_lan" in programs_on(net.gateway)
    straight, end = net.connection(family, 5000)  # the relays are dead: SYNs pass
    echo(straight, end)
    assert "leftover-xdp" in doctor(gateway)[1]
    gateway.remove()
    os.makedirs(gateway.directory, exist_ok=True)
    gateway.expect_exit = False
    gateway.start(serve(5000))
    assert gateway.took(net.connection(family, 5000)[1], family)


def test_without_its_holder_the_doctor_cleans_up(net, gateway):
    gateway.start(serve(5000))
    os.kill(holder_of(gateway), signal.SIGKILL)
    gateway.kill()
    _, findings = doctor(gateway)
    type_cures(gateway, {"leftover-xdp": findings["leftover-xdp"]})
    assert "leftover-xdp" not in doctor(gateway)[1]
    assert "sluice_lan" not in programs_on(net.gateway)


def test_legs_land_at_an_address_with_a_label(net, gateway):
    address = IPV4.with_bits(IPV4.lan)
    net.gateway.ip(f"address del dev lan0 {address}",
                   f"address add dev lan0 {address} label lan0:vip")
    try:
        gateway.start(serve(5000))
        near, far = net.connection(IPV4, 5000)
        echo(near, far)
        assert gateway.took(far, IPV4)
        assert any(f"{IPV4.lan}:" in line and f"{IPV4.client}:" in line
                   for line in net.gateway.tcp("state", "established"))
    finally:
        net.close_sockets()
        net.gateway.ip(f"address del dev lan0 {address}", f"address add dev lan0 {address}")


# ---- listen ports ----

def test_strangers_are_refused_at_listen_ports(net, gateway, family):
    """By whoever would be there without us: nobody. Also when they come from a client's port."""
    gateway.start(serve(5000))
    near, far = net.connection(family, 5000)
    port, = listen_ports(gateway, family)
    with gateway.counting(strangers=0, syn_held=0):
        for address in family.lan, family.wan:
            with pytest.raises(ConnectionRefusedError):
                net.client.connect(family, address, port, timeout=5)
        with pytest.raises(ConnectionRefusedError):
            net.remote.connect(family, family.wan, port, timeout=5)
    echo(near, far)


def test_a_service_of_the_gateways_own_may_have_a_listen_port(net, gateway, family):
    gateway.start(serve(5000))
    port, = listen_ports(gateway, family)
    near, far = net.connection(family, 5000)
    with Server(net.gateway.listen(family, family.lan, port), echo_handler):
        own = net.client.connect(family, family.lan, port)
        own.sendall(b"to the gateway itself")
        assert own.recv(100) == b"to the gateway itself"
        fresh, remote = net.connection(family, 5000)
        assert gateway.took(remote, family)
        echo(fresh, remote)
        echo(near, far)


def test_clients_never_see_the_gateways_address(net, gateway, family):
    """From the handshake to the end, resets included."""
    gateway.start(serve(5000))
    capture = Capture(net.client, "eth0")
    for end in "close", "reset":
        near, far = net.connection(family, 5000)
        echo(near, far)
        if end == "close":
            near.close()
            assert far.recv(1) == b""
            far.close()
        else:
            reset(far)
            with pytest.raises(ConnectionResetError):
                near.recv(1)
    wait_for(lambda: not gateway.flows(), "the flows end")
    heard = capture.segments(lambda s: not s.outgoing)
    assert {(s.source, s.source_port) for s in heard} == {(family.remote, 5000)}


# ---- the gateway's address ----

def test_flows_outlive_an_interface_that_goes_down_and_up(net, gateway, family):
    """Their address is kept, though another interface has one that could be taken."""
    net.gateway.sysctl(ipv6__conf__lan0__keep_addr_on_down=1)
    gateway.start(serve(5000))
    near, far = net.connection(family, 5000)
    echo(near, far)
    net.gateway.ip("link set lan0 down")
    time.sleep(1.5)  # addresses are looked at twice a second
    net.gateway.ip("link set lan0 up")
    try:
        echo(near, far)
        fresh, remote = net.connection(family, 5000)
        assert gateway.took(remote, family)
        assert fresh.getpeername()[0] == family.remote
    finally:
        net.gateway.sysctl(ipv6__conf__lan0__keep_addr_on_down=0)


# ---- next hops ----

@contextlib.contextmanager
def another_remote(net, family):
    """One more address behind the same router."""
    address = str(ipaddress.ip_address(family.remote) + 1)
    net.remote.ip(f"address add dev eth0 {family.with_bits(address)}"
                  + (" nodad" if family.af == socket.AF_INET6 else ""))
    try:
        yield address
    finally:
        net.remote.ip(f"address del dev eth0 {family.with_bits(address)}")


def nexthop_flows(gateway):
    return json.loads(run("bpftool", "-j", "map", "dump", "pinned",
                          f"{gateway.pin_dir}/nexthop_flows").stdout)


def test_a_clients_port_leads_to_one_remote_behind_a_router_at_a_time(net, gateway, family):
    """To others it is forwarded meanwhile, and what was forwarded stays so. When a flow ends, or
    its relay dies, nothing is left of it."""
    with another_remote(net, family) as other, \
            contextlib.closing(net.remote.listen(family, "", 5000)) as listener:
        def connect(address):
            near = net.client.connect(family, address, 5000, source=(family.client, 44000))
            far = listener.accept()[0]
            net.remote.sockets.append(far)
            far.settimeout(SOCKET_TIMEOUT)
            echo(near, far)
            return near, far

        gateway.start(serve(5000, address=family.router, nexthop=True))
        near, far = connect(family.remote)
        assert gateway.took(far, family)
        with gateway.counting(listen_port_busy=1):
            second, forwarded = connect(other)
        assert forwarded.getpeername()[0] == family.client
        echo(near, far)
        near.close()
        assert far.recv(1) == b""
        far.close()
        wait_for(lambda: not gateway.flows(), "the flow ends")
        wait_for(lambda: not nexthop_flows(gateway), "nothing is left of it")
        echo(second, forwarded)
        reset(second)
        with pytest.raises(ConnectionResetError):
            forwarded.recv(1)
        third, far = connect(other)
        assert gateway.took(far, family)
        assert len(nexthop_flows(gateway)) == 2
        gateway.expect_exit = False
        for pid in gateway.relays():
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(ConnectionResetError):
            third.recv(1)
        wait_for(lambda: not nexthop_flows(gateway), "nothing is left of a dead relay's")


# ---- going over ----

def switch(gateway, way, *sections):
    """Another way in by a reload."""
    gateway.intercept = way
    gateway.configure(*sections)
    gateway.sluice("reload")
    assert gateway.show("status")["intercept"] == way


def send_until(sock, stop):
    """A stream that ends when stop is set: its size and digest."""
    size, digest = 0, hashlib.sha256()
    while not stop.is_set():
        block = size.to_bytes(8, "big") * 8192
        sock.sendall(block)
        digest.update(block)
        size += len(block)
    sock.shutdown(socket.SHUT_WR)
    return size, digest.hexdigest()


@pytest.mark.parametrize("first, second", [("tc", "xdp"), ("xdp", "tc")])
def test_going_over_to_the_other_way_in_breaks_no_flow(net, gateway, family, first, second):
    """Talks and transfers that began by one way go on by it, while new ones come by the other."""
    config = serve(5000, 5001)
    gateway.intercept = first
    gateway.start(config)
    with contextlib.closing(net.remote.listen(family, family.remote, 5001)) as listener:
        talks, downloads, ends = [net.connection(family, 5000)], [], []
        stop = threading.Event()
        for _ in range(2):
            near = net.client.connect(family, family.remote, 5001)
            far, _ = listener.accept()
            ends += near, far
            net.remote.sockets.append(far)
            downloads.append((Task(send_until, far, stop), Task(receive_digest, near)))
        for way in second, first, second:
            switch(gateway, way, config)
            with gateway.counting(joined=1, reply_rewritten=(1,) if way == "xdp" else (0,)):
                talks.append(net.connection(family, 5000))
            assert gateway.took(talks[-1][1], family)
            for near, far in talks:
                echo(near, far)
        stop.set()
        for sending, reading in downloads:
            assert reading.result() == sending.result()
        for sock in ends:
            sock.close()
    for near, far in talks:
        echo(near, far)
        near.close()
        assert far.recv(1) == b""
        far.close()
    wait_for(lambda: not gateway.flows(), "all flows end")
    wait_for(lambda: mode_of(gateway) == ("native" if second == "xdp" else "none"),
             "the program is there, or has gone with its last flow")


@pytest.mark.parametrize("tun", ["before", "new"])
def test_a_reload_that_cannot_go_over_changes_nothing(net, gateway, family, tun):
    """For an interface that was served by tc, or one that the new file adds."""
    devices = ["lan0", "tun0"]
    gateway.intercept = "tc"
    net.gateway.ip("tuntap add tun0 mode tun", "link set tun0 up")
    try:
        gateway.start(serve(5000), lan=devices if tun == "before" else ["lan0"])
        near, far = net.connection(family, 5000)
        gateway.intercept = "xdp"
        gateway.configure(serve(5000), lan=devices)
        done = gateway.sluice("reload", check=False)
        assert done.returncode == 1 and "tun0" in done.stderr
        assert gateway.show("status")["intercept"] == "tc"
        wait_for(lambda: mode_of(gateway) == "none", "the program has gone")
        echo(near, far)
        with gateway.counting(reply_rewritten=0):
            fresh, remote = net.connection(family, 5000)
            assert gateway.took(remote, family)
            echo(fresh, remote)
        gateway.sluice("add", family.remote, "5001")
        assert listen_ports(gateway, family)[-1] == 0, "as by tc"
    finally:
        net.gateway.ip("link del tun0")


# ---- SYN guard ----

@pytest.mark.intercepts
def test_a_syn_flood_is_forwarded_and_real_clients_keep_connecting(net, gateway, family):
    """Of one client no more than syn-rate SYNs a second are held, and others are not touched."""
    rate = 50
    lan0 = net.gateway.json("ip", "-j", "link", "show", "lan0")[0]["address"]
    gateway.start(serve(5000), serve(5001, address=family.blackhole), syn_rate=rate)
    attacker = family.client[:-1] + "66"
    with Server(net.remote.listen(family, family.remote, 5000), echo_handler):
        before, began = gateway.counters(), time.monotonic()
        net.client.spawn("/usr/bin/python3", "-B",
                         os.path.join(os.path.dirname(__file__), "syn_flood.py"), "eth0", lan0,
                         attacker, family.blackhole, 5001)

        def over_rate():
            return gateway.counters()["over_rate"] - before["over_rate"]

        connected = 0
        while over_rate() < 5000 or connected < 50:
            near = net.client.connect(family, family.remote, 5000, timeout=5)
            near.sendall(b"real")
            assert near.recv(10) == b"real"
            near.close()
            connected += 1
    after, took = gateway.counters(), time.monotonic() - began
    held = after["syn_held"] - before["syn_held"] - connected
    assert after["joined"] - before["joined"] == connected, "a real client was forwarded"
    assert held <= rate * (took + 2), "more of the flood was held than its rate allows"


def test_syn_rate_0_holds_every_syn(net, gateway):
    gateway.start(serve(5000), syn_rate=0)
    with Server(net.remote.listen(IPV4, IPV4.remote, 5000), echo_handler), \
            gateway.counting(joined=40, over_rate=0):
        for _ in range(40):
            net.client.connect(IPV4, IPV4.remote, 5000).close()

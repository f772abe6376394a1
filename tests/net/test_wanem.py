# SPDX-License-Identifier: GPL-2.0
"""
The link emulator that other tests and the demo stand on: what it promises holds
on a slow and busy machine too. Rates and delays are bounds, never exceeded;
losses and bytes are exact.

    west  wan0 ==== wanem ==== wan0  east  eth0 ---- eth0  beyond
"""
import contextlib
import ctypes
import fcntl
import hashlib
import json
import os
import random
import signal
import socket
import struct
import threading
import time

import pytest

import rig

BUILD = os.environ.get("SLUICE_BUILD", os.path.join(os.path.dirname(__file__), "../../build"))
WANEM = os.path.join(BUILD, "tests/wanem")

WEST, EAST, BEYOND = "west", "east", "beyond"
ADDRESSES = {
    "IPv4": {WEST: "10.9.0.1", EAST: "10.9.0.2", BEYOND: "10.10.0.2"},
    "IPv6": {WEST: "fd00:9::1", EAST: "fd00:9::2", BEYOND: "fd00:10::2"},
}
PORT = 5000
SO_RCVBUFFORCE = 33
SIOCETHTOOL = 0x8946
ETHTOOL_STXCSUM = 0x17


class Ends:
    """The namespaces at and behind the two ends of the link."""

    def __init__(self, tag, directory):
        self.west, self.east, self.beyond = (
            rig.Namespace(f"{name}-{tag}", directory) for name in (WEST, EAST, BEYOND))
        rig.Network.link(self.east, "eth0", self.beyond, "eth0")
        self.east.ip("address add 10.10.0.1/24 dev eth0",
                     "address add fd00:10::1/64 dev eth0 nodad")
        self.beyond.ip("address add 10.10.0.2/24 dev eth0",
                       "address add fd00:10::2/64 dev eth0 nodad",
                       "route add default via 10.10.0.1", "route add default via fd00:10::1")
        self.east.sysctl(ipv4__ip_forward=1, ipv6__conf__all__forwarding=1)
        self.namespaces = self.west, self.east, self.beyond

    def close(self):
        for namespace in self.namespaces:
            namespace.close()


@pytest.fixture(scope="module")
def ends(tmp_path_factory):
    both = Ends(f"wanem-{os.getpid()}", str(tmp_path_factory.mktemp("wanem")))
    yield both
    both.close()


class Wanem:
    """A running wanem."""

    def __init__(self, ends, options, netns=None, families=rig.FAMILIES):
        ready, ready_end = os.pipe()
        reports, report = os.pipe()
        netns = netns or (ends.west.name, ends.east.name)
        try:
            self.process = rig.Process(
                [WANEM, "--netns-a", netns[0], "--netns-b", netns[1],
                 *self.addresses(families), "--ready-fd", ready_end, *options],
                os.path.join(ends.west.directory, "wanem.log"),
                stdout=report, pass_fds=(ready_end,))
        finally:
            os.close(ready_end)
            os.close(report)
        self.reports = os.fdopen(reports, encoding="utf-8")
        with os.fdopen(ready) as pipe:
            assert pipe.readline() == "ready\n", self.process.output()
        for family in families:
            network = "10.10.0.0/24" if family is rig.IPV4 else "fd00:10::/64"
            ends.west.ip(f"route add {network} via {ADDRESSES[family.name][EAST]}")

    @staticmethod
    def addresses(families):
        for family in families:
            for option, end in ("--address-a", WEST), ("--address-b", EAST):
                yield from (option, f"{ADDRESSES[family.name][end]}/{family.bits}")

    def counters(self):
        self.process.kill(signal.SIGUSR1)
        return json.loads(self.reports.readline())

    def stop(self):
        """Ends it in order and returns its last counters."""
        self.process.kill(signal.SIGTERM)
        last = json.loads(self.reports.readlines()[-1])
        assert self.process.wait() == 0, self.process.output()
        return last

    def close(self):
        self.process.end()
        self.reports.close()


@pytest.fixture
def link(ends):
    """link("--rate", "1mbit", ...) starts an emulation for the time of the test."""
    with contextlib.ExitStack() as running:
        def start(*options, **kwargs):
            wanem = Wanem(ends, options, **kwargs)
            running.callback(wanem.close)
            return wanem
        yield start
        for namespace in ends.namespaces:
            namespace.close_sockets()


@pytest.fixture(params=rig.FAMILIES, ids=str)
def family(request):
    return request.param


def datagram_sockets(ends, family):
    """(sender in the west, receiver in the east), connected."""
    addresses = ADDRESSES[family.name]
    receiver = ends.east.socket(family.af, socket.SOCK_DGRAM)
    receiver.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
    receiver.bind((addresses[EAST], PORT))
    sender = ends.west.socket(family.af, socket.SOCK_DGRAM)
    sender.bind((addresses[WEST], PORT))
    sender.connect((addresses[EAST], PORT))
    receiver.connect((addresses[WEST], PORT))
    return sender, receiver


def send_numbered(wanem, ends, family, count, size):
    """Sends numbered datagrams of size bytes of IP packet. Returns the numbers that
    arrived, in the order they did, once the link is empty."""
    sender, receiver = datagram_sockets(ends, family)
    headers = 28 if family is rig.IPV4 else 48
    before = wanem.counters()["a_to_b"]["segments_in"]
    for number in range(count):
        sender.send(struct.pack("!I", number).ljust(size - headers, b"."))

    def drained():
        counters = wanem.counters()["a_to_b"]
        return counters["segments_in"] - before >= count and not counters["segments_in_flight"]

    rig.wait_for(drained, "all datagrams came through the link", 60)
    numbers = []
    receiver.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            numbers.append(struct.unpack("!I", receiver.recv(2048)[:4])[0])
    sender.close()
    receiver.close()
    return numbers


def transfer(ends, family, where, data, **options):
    """Sends data over TCP from the west to where. Returns (seconds from the first
    to the last byte, SHA-256 of what arrived)."""
    addresses = ADDRESSES[family.name]
    receiving = {EAST: ends.east, BEYOND: ends.beyond}[where]
    with contextlib.closing(receiving.listen(family, addresses[where], PORT)) as listener:
        near = ends.west.connect(family, addresses[where], PORT)
        far, _ = listener.accept()
    far.settimeout(rig.SOCKET_TIMEOUT)
    near.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, options.get("algorithm", b"cubic"))
    start = time.monotonic()
    thread = threading.Thread(target=lambda: (near.sendall(data), near.shutdown(socket.SHUT_WR)))
    thread.start()
    digest = hashlib.sha256()
    for part in iter(lambda: far.recv(1 << 20), b""):
        digest.update(part)
    seconds = time.monotonic() - start
    thread.join()
    near.close()
    far.close()
    return seconds, digest.hexdigest()


def stop_checksum_offload(namespace, device):
    """Has checksums of what leaves by the device computed before it does."""
    value = (ctypes.c_uint32 * 2)(ETHTOOL_STXCSUM, 0)
    request = struct.pack("16sP16x", device.encode(), ctypes.addressof(value))
    with namespace.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCETHTOOL, request)


def test_a_round_trip_takes_both_delays(ends, link, family):
    link("--delay", "20ms,15ms")
    near, far = datagram_sockets(ends, family)
    for _ in range(5):
        start = time.monotonic()
        near.send(b"ping")
        far.send(far.recv(4))
        near.recv(4)
        assert time.monotonic() - start >= 0.035


def test_tcp_never_exceeds_the_rate(ends, link, family):
    wanem = link("--rate", "40mbit", "--delay", "5ms")
    data = random.Random(1).randbytes(4_000_000)
    seconds, digest = transfer(ends, family, EAST, data)
    assert digest == hashlib.sha256(data).hexdigest()
    assert len(data) * 8 / seconds <= 40e6
    assert wanem.stop()["a_to_b"]["bytes_out"] >= len(data)


def test_the_rate_is_that_of_the_direction(ends, link):
    link("--rate", "1gbit,8mbit")
    near, far = datagram_sockets(ends, rig.IPV4)
    start = time.monotonic()
    for _ in range(50):
        far.send(bytes(972))
    for _ in range(50):
        assert len(near.recv(2048)) == 972
    assert time.monotonic() - start >= 50 * 1000 * 8 / 8e6


def test_overhead_takes_its_time_on_the_link(ends, link):
    link("--rate", "8mbit", "--overhead", "1000")
    near, far = datagram_sockets(ends, rig.IPV4)
    start = time.monotonic()
    for _ in range(20):
        near.send(bytes(972))
    for _ in range(20):
        far.recv(2048)
    assert time.monotonic() - start >= 20 * 2000 * 8 / 8e6


def test_losses_are_counted_exactly(ends, link, family):
    wanem = link("--loss", "5%,0")
    arrived = send_numbered(wanem, ends, family, 5000, 100)
    counters = wanem.stop()
    assert arrived == sorted(arrived)
    lost = counters["a_to_b"]["losses"]
    # 5000 draws at 5 %: mean 250, standard deviation 15
    assert 250 - 6 * 15 < lost < 250 + 6 * 15
    assert len(arrived) + lost >= 5000
    assert (counters["a_to_b"]["segments_in"]
            == counters["a_to_b"]["segments_out"] + lost), counters
    assert counters["b_to_a"]["losses"] == 0


def test_the_same_seed_loses_the_same_segments(ends, link):
    def survivors(seed):
        wanem = link("--loss", "10%", "--seed", seed, families=[rig.IPV4])
        arrived = send_numbered(wanem, ends, rig.IPV4, 500, 100)
        assert wanem.stop()["a_to_b"]["segments_in"] == 500
        return arrived

    # without IPv6 the kernel sends no packet of its own
    for namespace in ends.west, ends.east:
        namespace.sysctl(ipv6__conf__default__disable_ipv6=1)
    try:
        assert survivors(7) == survivors(7)
        assert survivors(7) != survivors(8)
    finally:
        for namespace in ends.west, ends.east:
            namespace.sysctl(ipv6__conf__default__disable_ipv6=0)


def test_a_full_queue_drops_the_newest(ends, link, family):
    wanem = link("--rate", "100kbit", "--queue", "10kB")
    arrived = send_numbered(wanem, ends, family, 30, 1000)
    counters = wanem.stop()["a_to_b"]
    assert 9000 <= counters["queue_max"] <= 10000
    assert counters["queue_drops"] >= 30 - len(arrived) > 0
    others = counters["segments_in"] - 30  # the kernel's own, of IPv6, of up to 150 bytes
    fit = (10000 - 150 * others) // 1048
    assert fit > 3
    assert arrived[:fit] == list(range(fit))


def test_bytes_survive_the_cutting_of_super_packets(ends, link, family):
    """Behind a device that verifies checksums, which a local receiver does not."""
    wanem = link("--rate", "500mbit", "--delay", "1ms", "--loss", "1%", "--queue", "200kB")
    stop_checksum_offload(ends.east, "eth0")
    data = random.Random(2).randbytes(8_000_000)
    _, digest = transfer(ends, family, BEYOND, data, algorithm=b"bbr")
    counters = wanem.stop()["a_to_b"]
    assert digest == hashlib.sha256(data).hexdigest()
    assert counters["cuts"] > 100
    assert counters["losses"] > 10
    snmp = ends.beyond.run("cat", "/proc/thread-self/net/snmp").stdout.splitlines()
    names, values = (line.split() for line in snmp if line.startswith("Tcp:"))
    assert dict(zip(names, values))["InCsumErrors"] == "0"


@pytest.fixture
def script(tmp_path):
    """script("1s rate 8mbit", ...) is the options that ask for such changes."""
    def write(*lines):
        path = tmp_path / "script"
        path.write_text("\n".join(lines) + "\n")
        return "--script", str(path)
    return write


def test_a_script_changes_the_rate(ends, link, script):
    link("--rate", "1gbit", *script("# from the start", "", "0s rate 8mbit a-to-b"))
    near, far = datagram_sockets(ends, rig.IPV4)
    start = time.monotonic()
    for _ in range(50):
        near.send(bytes(972))
    for _ in range(50):
        far.recv(2048)
    assert time.monotonic() - start >= 50 * 1000 * 8 / 8e6


def test_what_waits_when_the_rate_rises_leaves_at_the_new_rate(ends, link, script):
    """60 s at the old rate, of which only the first second is spent at it."""
    wanem = link("--rate", "8kbit", *script("1s rate 1gbit a-to-b"))
    start = time.monotonic()
    arrived = send_numbered(wanem, ends, rig.IPV4, 60, 1000)
    assert arrived == list(range(60))
    assert time.monotonic() - start < 50


def test_an_outage_loses_what_is_sent_and_ends(ends, link, script, family):
    wanem = link(*script("0s outage for 1h a-to-b"))
    assert send_numbered(wanem, ends, family, 100, 100) == []
    counters = wanem.stop()
    assert counters["a_to_b"]["outage_losses"] >= 100
    assert counters["b_to_a"]["outage_losses"] == counters["a_to_b"]["losses"] == 0
    wanem = link(*script("0s outage for 200ms"))
    rig.wait_for(lambda: wanem.counters()["elapsed_s"] > 0.2, "the outage is over")
    assert send_numbered(wanem, ends, family, 100, 100) == list(range(100))


def test_a_burst_of_loss_ends(ends, link, script):
    wanem = link(*script("0s loss 100% for 300ms a-to-b", "0s loss 0 b-to-a"))
    rig.wait_for(lambda: wanem.counters()["elapsed_s"] > 0.3, "the burst is over")
    assert send_numbered(wanem, ends, rig.IPV4, 200, 100) == list(range(200))
    wanem.stop()
    wanem = link("--loss", "0", *script("0s loss 20% for 1h a-to-b"))
    send_numbered(wanem, ends, rig.IPV4, 2000, 100)
    # 2000 draws at 20 %: mean 400, standard deviation 18
    assert 400 - 6 * 18 < wanem.stop()["a_to_b"]["losses"] < 400 + 6 * 18


def test_tcp_gets_over_an_outage(ends, link, script, family):
    wanem = link("--rate", "8mbit", "--delay", "5ms", *script("1s outage for 300ms"))
    data = random.Random(3).randbytes(3_000_000)
    _, digest = transfer(ends, family, EAST, data)
    assert digest == hashlib.sha256(data).hexdigest()
    assert wanem.stop()["a_to_b"]["outage_losses"] > 0


def test_a_link_without_limit_loses_nothing(ends, link, family):
    """As fast as it goes is its ceiling; the benchmarks say how much that is."""
    wanem = link()
    data = random.Random(4).randbytes(50_000_000)
    _, digest = transfer(ends, family, EAST, data)
    assert digest == hashlib.sha256(data).hexdigest()
    counters = wanem.stop()["a_to_b"]
    assert counters["hidden_drops"] == counters["overflows"] == counters["losses"] == 0


def test_it_confesses_what_it_could_not_carry(ends, link):
    wanem = link()
    near, _ = datagram_sockets(ends, rig.IPV4)
    wanem.process.kill(signal.SIGSTOP)
    for _ in range(12000):  # its device holds 10 000
        near.send(b"ping")
    wanem.process.kill(signal.SIGTERM)
    wanem.process.kill(signal.SIGCONT)
    assert wanem.process.wait() == 3
    assert "a_to_b is no fair emulation" in wanem.process.output()


def test_a_mistake_in_a_script_is_named(script):
    for line, message in (
            ("soon rate 1mbit", '"soon" is not a time'),
            ("1s rate", '"" is not a rate'),
            ("1s rate fast", '"fast" is not a rate'),
            ("1s loss 2", '"2" is not a loss'),
            ("1s delay 5ms", '"delay" is not a change: rate, loss or outage'),
            ("1s outage", '"" is not "for" and how long it lasts'),
            ("1s outage for ever", '"ever" is not a time'),
            ("1s loss 1% for 1s there", '"there" is not expected here'),
            ("1s loss 1% for 1s a-to-b b-to-a", '"b-to-a" is not expected here'),
            ("1 2 3 4 5 6 7 8 9", "too many words")):
        done = rig.run(WANEM, *script("# one", line), check=False)
        assert (done.returncode, done.stdout) == (2, ""), line
        assert ":2: " in done.stderr and message in done.stderr, done.stderr
    done = rig.run(WANEM, "--script", "/no/such/file", check=False)
    assert done.returncode == 2 and "/no/such/file: No such file" in done.stderr


def test_namespaces_may_be_paths(ends, link):
    link(netns=(f"/run/netns/{ends.west.name}", f"/run/netns/{ends.east.name}"))
    near, far = datagram_sockets(ends, rig.IPV4)
    near.send(b"ping")
    assert far.recv(4) == b"ping"


@pytest.mark.parametrize("arguments, message", [
    (["--rate", "fast"], '"fast" is not a rate'),
    (["--rate", "10mbit,"], '"10mbit," is not a rate'),
    (["--delay", "2m"], '"2m" is not a delay'),
    (["--loss", "2"], '"2" is not a loss'),
    (["--queue", "0"], '"0" is not the size of a queue'),
    (["--seed", "-1"], '"-1" is not a seed'),
    (["--mtu", "9"], '"9" is not an MTU'),
    (["--device-a", "much-too-long-a-name"], "is not the name of a device"),
    (["--what"], "--help"),
    (["100mbit"], '"100mbit" is not an option'),
])
def test_a_mistake_is_named(arguments, message):
    done = rig.run(WANEM, *arguments, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr


@pytest.mark.parametrize("arguments, message", [
    (["--netns-a", "no-such-namespace"], "/run/netns/no-such-namespace: No such file"),
    (["--netns-a", "{west}", "--netns-b", "{east}", "--address-a", "10.9.0.1"],
     '"10.9.0.1" is not an address with a prefix'),
    (["--netns-a", "{west}", "--device-a", "lo"], "creating the TUN device lo"),
])
def test_a_link_that_cannot_be_made_is_explained(ends, arguments, message):
    names = {WEST: ends.west.name, EAST: ends.east.name}
    done = rig.run(WANEM, *(argument.format(**names) for argument in arguments), check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert message in done.stderr

# SPDX-License-Identifier: GPL-2.0
"""
The networks that are measured in: client - gateway - remote, a site for every
contender, so that all stand ready and take turns without being started anew.

        10.1.0.0/24          10.9.0.0/24
    client eth0 -- lan0 gateway wan0 -- eth0 remote
                        gateway far ==== far remote       (10.8.0.0/24, emulated, while asked for)

All hosts have room for 64 MiB a connection, as whoever has such a link would
give them: what is compared is not the size of buffers. Hosts that choose no
congestion control themselves have CUBIC, as everywhere, by their routes.
"""
import contextlib
import json
import signal

import rig
import wan

FAMILY = rig.IPV4
FAR = wan.FAR[FAMILY.name]
CONGCTL = "congctl cubic"
BUFFER_MAX = 64 << 20


class Link:
    """What became of an emulated link."""

    def __init__(self):
        self.ways = []  # wanem's counters, there and back
        self.unfaithful = False  # it lost what it should have carried

    def sum(self, counter):
        """Of both directions; None when nobody counted."""
        return sum(way[counter] for way in self.ways) if self.ways else None

    @property
    def late_max(self):
        """Seconds that a packet was late at most."""
        return max(way["late_max_us"] for way in self.ways) / 1e6 if self.ways else None


class Site:
    """Three namespaces and what runs in them; looks like a rig.Network to gateway and agent."""

    emulator = "wanem"  # or netem, for all sites

    def __init__(self, tag, directory):
        self.directory = directory
        self.namespaces = []
        self.client, self.gateway, self.remote = (
            self._add(f"{name}-{tag}") for name in ("client", "gateway", "remote"))
        rig.Network.link(self.client, "eth0", self.gateway, "lan0")
        rig.Network.link(self.gateway, "wan0", self.remote, "eth0")
        for namespace, device, address in (
                (self.client, "eth0", FAMILY.client), (self.gateway, "lan0", FAMILY.lan),
                (self.gateway, "wan0", FAMILY.wan), (self.remote, "eth0", FAMILY.router)):
            namespace.ip(f"address add dev {device} {FAMILY.with_bits(address)}")
        # the remote has its far address while the link is not there, too: an agent listens at it
        self.remote.ip(f"address add {FAR.remote}/32 dev lo")
        self.client.ip(f"route add default via {FAMILY.lan}")
        self.remote.ip(f"route add default via {FAMILY.wan}")
        self.gateway.ip(f"route replace {FAMILY.net(FAMILY.client)} dev lan0 {CONGCTL}",
                        f"route replace {FAMILY.net(FAMILY.wan)} dev wan0 {CONGCTL}")
        self.gateway.sysctl(ipv4__ip_forward=1)

    def _add(self, name):
        namespace = rig.Namespace(name, self.directory)
        self.namespaces.append(namespace)
        # without IPv6 the kernel sends nothing of its own, so that a seed of the emulator
        # loses the same segments of everybody's transfer
        namespace.sysctl(ipv6__conf__all__disable_ipv6=1, ipv6__conf__default__disable_ipv6=1,
                         ipv4__tcp_no_metrics_save=1, ipv4__tcp_tw_reuse=1,
                         ipv4__ip_local_port_range="1024 65535",
                         ipv4__tcp_rmem=f"4096 131072 {BUFFER_MAX}",
                         ipv4__tcp_wmem=f"4096 16384 {BUFFER_MAX}")
        return namespace

    @property
    def near_remote(self):
        """The remote's address on the link that is not emulated."""
        return FAMILY.router

    @contextlib.contextmanager
    def long_way(self, rate=None, rtt=0, loss=0, seed=1):
        """The emulated link stands in the block: bit/s (None: no limit), seconds, part of the
        segments lost each way. Yields a Link, which has wanem's counters afterwards."""
        emulate = self._by_netem if self.emulator == "netem" else self._by_wanem
        with emulate(rate, rtt, loss, seed) as link:
            self.remote.ip(f"route add {FAMILY.net(FAMILY.client)} via {FAR.near}")
            self.gateway.ip(f"route replace {FAMILY.net(FAR.remote)} dev far {CONGCTL}")
            yield link

    @contextlib.contextmanager
    def _by_netem(self, rate, rtt, loss, _seed):
        """Its losses are its own, and it does not count them apart from a full queue's."""
        senders = (self.client, "eth0"), (self.gateway, "far")
        with wan.netem(self.gateway, self.remote, senders, rate, rtt, loss, families=[FAMILY]):
            yield Link()

    @contextlib.contextmanager
    def _by_wanem(self, rate, rtt, loss, seed):
        link = Link()
        limit = ("--rate", rate) if rate else ()
        with wan.emulation(self.gateway, self.remote, self.directory, *limit, "--delay",
                           f"{rtt * 500:g}ms", "--loss", f"{loss:g}", "--seed", seed,
                           families=[FAMILY]) as process:
            before = len(process.output())
            yield link
            process.kill(signal.SIGTERM)
            link.unfaithful = process.wait() == 3
            last = process.output()[before:].strip().splitlines()
            link.ways = [json.loads(last[-1])[way] for way in ("a_to_b", "b_to_a")] if last else []

    def close(self):
        for namespace in self.namespaces:
            namespace.close()


def retransmitted(namespace):
    """Segments that its TCP has sent again so far."""
    with namespace.entered(), open("/proc/thread-self/net/snmp") as snmp:
        names, values = (line.split() for line in snmp if line.startswith("Tcp:"))
    return int(dict(zip(names, values))["RetransSegs"])


def received_packets(namespace, device):
    """Packets that have arrived at a device so far."""
    with namespace.entered(), open("/proc/thread-self/net/dev") as devices:
        for line in devices:
            name, _, numbers = line.partition(":")
            if name.strip() == device:
                return int(numbers.split()[1])
    raise KeyError(device)

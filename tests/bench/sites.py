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

import netem
import rig
import wan

FAMILY = rig.IPV4
FAR = wan.FAR[FAMILY.name]
CONGCTL = "congctl cubic"
BUFFER_MAX = 64 << 20


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
    def long_way(self, **options):
        """The emulated link stands in the block; rate, delay, loss and seed as wanem takes
        them. Yields a dictionary, which has the link's counters and wanem's exit status
        (3: it lost what it should have carried) afterwards."""
        emulate = self._by_netem if self.emulator == "netem" else self._by_wanem
        with emulate(**options) as counters:
            self.remote.ip(f"route add {FAMILY.net(FAMILY.client)} via {FAR.near}")
            self.gateway.ip(f"route replace {FAMILY.net(FAR.remote)} dev far {CONGCTL}")
            yield counters

    def _by_netem(self, **options):
        addresses = [f"{address}/{FAMILY.bits}" for address in (FAR.near, FAR.remote)]
        return netem.link(self.gateway, self.remote, addresses, **options)

    @contextlib.contextmanager
    def _by_wanem(self, **options):
        counters = {}
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        with wan.emulation(self.gateway, self.remote, self.directory, *words,
                           families=[FAMILY]) as process:
            before = len(process.output())
            yield counters
            process.kill(signal.SIGTERM)
            status = process.wait()
            last = process.output()[before:].strip().splitlines()
            counters.update(json.loads(last[-1]) if last else {}, status=status)

    def close(self):
        for namespace in self.namespaces:
            namespace.close()


def retransmitted(namespace):
    """Segments that its TCP has sent again so far."""
    with namespace, open("/proc/thread-self/net/snmp") as snmp:
        names, values = (line.split() for line in snmp if line.startswith("Tcp:"))
    return int(dict(zip(names, values))["RetransSegs"])


def received_packets(namespace, device):
    """Packets that have arrived at a device so far."""
    with namespace, open("/proc/thread-self/net/dev") as devices:
        for line in devices:
            name, _, numbers = line.partition(":")
            if name.strip() == device:
                return int(numbers.split()[1])
    raise KeyError(device)

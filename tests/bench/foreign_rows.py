# SPDX-License-Identifier: GPL-2.0
"""
Traffic that is not sluice's: how fast it is forwarded, with tables of several
sizes, by both ways in, and with no sluice at all. Gateways of all kinds stand ready, and bursts of
small segments go through one after the other, so that each is compared with what
the same machine did within the same second.
"""
import contextlib
import statistics
import sys

import cost
import gateway as daemon
import sites
import traffic

ADDRESSES = 100  # served; ports are spread over them
SERVED, UNKNOWN = "10.9.0.77", "10.9.0.78"  # the first has an entry where anything has
FIRST_PORT, OTHER_PORT = 10000, 9
BURST = 0.2  # seconds
NONE, EMPTY = "no sluice", "0 ports"
LARGEST = "100 000 ports"
# By XDP each served port has a listen port of its own, so there are fewer.
XDP = {"intercept": "xdp", "listen_ports": "10240-65535"}
GATEWAYS = {EMPTY: (0, {}), "1 000 ports": (1000, {}), LARGEST: (100_000, {}),
            "xdp, 0 ports": (0, XDP), "xdp, 50 000 ports": (50_000, XDP)}
SCENARIOS = {"foreign traffic, address without an entry": UNKNOWN,
             "foreign traffic, port without an entry": SERVED}


def configuration(ports):
    """Proxies of as many ports in all."""
    addresses = min(ADDRESSES, max(1, ports // 1000))
    return "".join(
        f'proxy "{SERVED if not number else f"10.77.0.{number}"}" {{\n'
        + "".join(f"port {FIRST_PORT + port} {{ }}\n" for port in range(ports // addresses))
        + "}\n" for number in range(addresses)) if ports else ""


class Foreign:
    """The group: a site for each size of the tables and way in, and one without sluice."""

    def __init__(self, run, directory):
        self.run = run
        self.sites, self.daemons = {}, []
        for number, name in enumerate([NONE, *GATEWAYS]):
            site = self.sites[name] = sites.Site(f"f{number}", directory)
            sink = site.remote.json("ip", "-j", "link", "show", "eth0")[0]["address"]
            site.gateway.ip(*(f"neigh add {address} lladdr {sink} dev wan0"
                              for address in (SERVED, UNKNOWN)))
            if name == NONE:
                continue
            gateway = daemon.Gateway(site)
            self.daemons.append(gateway)
            ports, settings = GATEWAYS[name]
            gateway.start(configuration(ports), timeout=120, workers=1, engine="auto", wan=[],
                          **settings)
            assert len(gateway.show("ports")["ports"]) == ports

    def race(self, rounds):
        for scenario, address in SCENARIOS.items():
            self.run.scenarios[scenario] = {"group": "foreign", "name": scenario,
                                            "target": LARGEST}
            for number in range(rounds):
                self._round(scenario, address, number)
            for name in self.sites:
                ratios = self.run.values(scenario, name, "ratio")
                print(f"foreign: {scenario}: {name}: {statistics.median(ratios):.3f} of the rate "
                      f"with {EMPTY}", file=sys.stderr)

    def _round(self, scenario, address, number):
        """Each has its burst, in an order that shifts from round to round."""
        names = list(self.sites)
        names = names[number % len(names):] + names[:number % len(names)]
        rates = {name: self._burst(self.sites[name], address) for name in names}
        for name, (rate, wall) in rates.items():
            self.run.add(scenario, name, number, rate=rate, wall=wall, ratio=rate / rates[EMPTY][0])

    @staticmethod
    def _burst(site, address):
        """Segments forwarded in a second of processor time, and in one of the clock."""
        router = site.gateway.json("ip", "-j", "link", "show", "lan0")[0]["address"]
        before, kernel = sites.received_packets(site.remote, "eth0"), cost.processor_seconds([])
        found = traffic.load(site.client, "blast", address, port=OTHER_PORT, device="eth0",
                             mac=router, source=sites.FAMILY.client, seconds=f"{BURST}s")
        forwarded = sites.received_packets(site.remote, "eth0") - before
        used = found["cpu"] + cost.processor_seconds([]) - kernel
        if forwarded < 0.99 * found["sent"]:
            raise traffic.Failed(f"{forwarded} of {found['sent']} segments were forwarded")
        return forwarded / used, forwarded / found["seconds"]

    def close(self):
        with contextlib.ExitStack() as stack:
            for site in self.sites.values():
                stack.callback(site.close)
            for gateway in self.daemons:
                stack.callback(gateway.remove)
                stack.callback(gateway.finish)

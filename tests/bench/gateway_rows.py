# SPDX-License-Identifier: GPL-2.0
"""
The gateway scenarios: what the gateway costs, on links that are as fast as the
machine. Every contender has a site of its own, all are up, and take turns. What
the gateway alone costs is what is used in all less what the same load uses when
it is forwarded.
"""
import contextlib
import sys
import time
from dataclasses import dataclass

import contenders
import cost
import sites
import traffic


@dataclass(frozen=True)
class Scenario:
    """A load; its options are load's."""

    name: str
    verb: str
    options: tuple  # of (name, value)
    figure: str  # the one that is compared
    unit: str

    def describe(self):
        return {"group": "gateway", "name": self.name, "verb": self.verb,
                "figure": self.figure, "unit": self.unit}


def bulk(name, **options):
    return Scenario(name, "transfer", tuple(options.items()), "rate", "Gbit/s")


def requests(size, connections):
    plural = "s" if connections > 1 else ""
    return Scenario(f"{size} B requests, {connections} connection{plural}", "request",
                    (("up", size), ("down", size), ("connections", connections)), "answers",
                    "requests/s")


BULK = [
    bulk("bulk down, 1 flow", down=1), bulk("bulk down, 16 flows", down=1, connections=16),
    bulk("bulk up, 1 flow", up=1), bulk("bulk up, 16 flows", up=1, connections=16),
    bulk("bulk both ways, 1 flow", up=1, down=1),
    bulk("bulk both ways, 16 flows", up=1, down=1, connections=16),
]
REQUESTS = [requests(size, connections) for size in (64, 4096) for connections in (1, 64, 512)]
CONNECTS = [
    Scenario("connect-request-close, 16 at once", "reconnect",
             (("up", 64), ("down", 64), ("connections", 16)), "answers", "connections/s"),
    Scenario("connection time, one at a time", "reconnect", (("up", 64), ("down", 64)),
             "connect_p50", "s"),
]
QUICK = [BULK[0], BULK[3], REQUESTS[1], *CONNECTS]


def selection(how):
    return QUICK if how == "quick" else BULK + REQUESTS + CONNECTS


def figures_of(scenario, found, used):
    """Figures of a run that used so many seconds of processor."""
    if scenario.verb == "transfer":
        moved = found["up"] + found["down"]
        return {"rate": moved * 8 / found["seconds"] / 1e9, "cpu_per_gb": used / moved * 1e9}
    answers = found["answers"]
    figures = {"answers": answers / found["seconds"], "errors": found["errors"],
               "latency_p50": found["latency"].get("p50"),
               "latency_p99": found["latency"].get("p99"), "cpu_per_100k": used / answers * 1e5}
    if scenario.verb == "reconnect":
        figures.update(connect_p50=found["connect"].get("p50"),
                       connect_p99=found["connect"].get("p99"))
    return figures


class Gateways:
    """The group: entrants that stay for all scenarios."""

    def __init__(self, run, directory, chosen):
        self.run = run
        self.entrants = []
        for number, contender in enumerate(chosen):
            entrant = contenders.Entrant(contender, sites.Site(f"g{number}", directory))
            self.entrants.append(entrant)
            entrant.serve()
            entrant.start(entrant.site.near_remote)

    def race(self, scenarios, rounds, seconds):
        for scenario in scenarios:
            self.run.scenarios[scenario.name] = scenario.describe()
            for number in range(rounds):
                for entrant in self.entrants:
                    self._one(entrant, scenario, number, seconds)

    def _one(self, entrant, scenario, number, seconds):
        name = entrant.contender.name
        pids = entrant.pids()
        before, others, started = cost.processor_seconds(pids), cost.busy_seconds(), time.monotonic()
        try:
            found = traffic.load(entrant.site.client, scenario.verb, entrant.site.near_remote,
                                 seconds=f"{seconds}s", limit=f"{seconds + 30}s",
                                 **dict(scenario.options))
            used = cost.processor_seconds(pids) - before + found["cpu"]
            figures = figures_of(scenario, found, used)
        except (traffic.Failed, ZeroDivisionError) as error:
            print(f"gateway: {scenario.name}: {name}: FAILED: {error}", file=sys.stderr)
            self.run.fail(scenario.name, name, number, error)
            return
        elapsed = time.monotonic() - started
        # of the machine's processors, not used by this measurement
        figures["elsewhere"] = max(0.0, cost.busy_seconds() - others - used) / elapsed
        self.run.add(scenario.name, name, number, **figures)
        print(f"gateway: {scenario.name}: {name}: {figures[scenario.figure]:.6g} {scenario.unit}",
              file=sys.stderr)

    def idle(self, flows):
        """What flows cost that do nothing."""
        scenario = f"{flows} idle flows"
        self.run.scenarios[scenario] = {"group": "idle", "name": scenario, "flows": flows}
        for entrant in self.entrants:
            name = entrant.contender.name
            pids = entrant.pids()
            try:
                self.run.add(scenario, name, 0, **self._rest(entrant, pids, flows))
            except (traffic.Failed, AssertionError) as error:
                print(f"idle: {name}: FAILED: {error}", file=sys.stderr)
                self.run.fail(scenario, name, 0, error)

    @staticmethod
    def _rest(entrant, pids, flows):
        gateway = [pid for pid in pids if pid != entrant.server.pid]
        before = cost.slab_bytes(), cost.private_bytes(gateway), cost.descriptors(gateway)
        process = traffic.hold_idle(entrant.site.client, entrant.site.near_remote, flows)
        try:
            after = cost.slab_bytes(), cost.private_bytes(gateway), cost.descriptors(gateway)
        finally:
            process.popen.stdin.close()
            process.wait(60)
        slab, own, descriptors = ((now - then) / flows for now, then in zip(after, before))
        print(f"idle: {entrant.contender.name}: {slab:.0f} B slab, {own:.0f} B own, "
              f"{descriptors:.2f} descriptors a flow", file=sys.stderr)
        return {"slab": slab, "own": own, "descriptors": descriptors}

    def close(self):
        with contextlib.ExitStack() as stack:
            for entrant in self.entrants:
                stack.callback(entrant.close)



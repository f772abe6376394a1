# SPDX-License-Identifier: GPL-2.0
"""
The WAN scenarios: how much faster is a transfer over a long link. The link is
wanem's; in a round it loses the same segments of every contender.
"""
import concurrent.futures
import contextlib
import itertools
import sys
from dataclasses import dataclass

import contenders
import rig
import sites
import traffic
import wan

LIMIT, LIMIT_QUICK = 10, 5  # times the bound, after which a transfer is stopped
LIMIT_MIN, LIMIT_MAX = 5.0, 30.0  # seconds
PAIR_SECONDS = 8
QUIET_SECONDS = 3
DIRECTIONS = "down", "up"
RATES, RTTS = (20, 100, 500), (20, 100, 300)
LOSSES, SIZES, FLOWS = (0, 0.01, 0.1, 1), (100_000, 1_000_000, 20_000_000), (1, 8)


@dataclass(frozen=True)
class Scenario:
    """A transfer over a link; the defaults are where every axis is varied from."""

    rate: int = 100  # Mbit/s
    rtt: int = 100  # ms
    loss: float = 0.1  # percent
    size: int = 20_000_000  # bytes in all; 0: two flows compete for PAIR_SECONDS
    flows: int = 1
    direction: str = "down"
    patience: float = LIMIT  # times the bound

    @property
    def what(self):
        if not self.size:
            return "2 flows, fairness"
        size = f"{self.size // 1000} KB" if self.size < 1_000_000 else f"{self.size // 1_000_000} MB"
        return size if self.flows == 1 else f"{size}, {self.flows} flows"

    @property
    def name(self):
        return (f"{self.rate} Mbit/s, {self.rtt} ms, {self.loss:g} %: {self.what}, "
                f"{self.direction}")

    @property
    def bound(self):
        """Seconds that it takes at least."""
        return wan.least_seconds(self.size, self.rate * 1e6, self.rtt / 1e3)

    @property
    def limit(self):
        """Seconds after which it is stopped."""
        if not self.size:
            return PAIR_SECONDS + LIMIT_MAX
        return max(self.bound, min(max(self.patience * self.bound, LIMIT_MIN), LIMIT_MAX))

    @property
    def link(self):
        """What a contender is told of the link."""
        return {"rate": f"{self.rate}mbit", "rtt": f"{self.rtt}ms"}

    def describe(self):
        return {"group": "wan", "name": self.name, **vars(self), "bound": self.bound,
                "limit": self.limit}


BASE = Scenario()
FEEL = Scenario(rtt=300, loss=0, size=1_000_000)  # what people feel: one object, fresh connection


def both_ways(*scenarios):
    return [Scenario(**{**vars(one), "direction": direction})
            for one in scenarios for direction in DIRECTIONS]


def selection(how):
    """quick: the rows with targets; full: the product of all axes; else every value of every
    axis, one changed at a time."""
    if how == "quick":
        return [Scenario(**{**vars(one), "patience": LIMIT_QUICK}) for one in both_ways(BASE, FEEL)]
    pairs = [Scenario(size=0, loss=0)]
    if how == "full":
        product = itertools.product(RATES, RTTS, LOSSES, SIZES, FLOWS)
        return both_ways(*(Scenario(*axes) for axes in product), *pairs)
    return both_ways(
        BASE, FEEL,
        *(Scenario(rate=rate) for rate in RATES if rate != BASE.rate),
        *(Scenario(rtt=rtt) for rtt in RTTS if rtt != BASE.rtt),
        *(Scenario(loss=loss) for loss in LOSSES if loss != BASE.loss),
        *(Scenario(size=size) for size in SIZES if size != BASE.size),
        Scenario(flows=8), *pairs)


def jain(shares):
    """Jain's fairness index: 1 for equal shares, 1/n when one has all."""
    total = sum(shares)
    return total * total / (len(shares) * sum(share * share for share in shares)) if total else 0


def transfer(entrant, scenario):
    """One measurement; figures and the time series."""
    site, up = entrant.site, scenario.direction == "up"
    splits = entrant.contender.kind != "straight"
    sender = (site.gateway if splits else site.client) if up else site.remote
    before = sites.retransmitted(sender)
    options = {"connections": scenario.flows, scenario.direction: scenario.size,
               "limit": f"{scenario.limit}s", "congestion": entrant.contender.congestion}
    if not scenario.size:
        options.update({"connections": 2, scenario.direction: 1, "seconds": f"{PAIR_SECONDS}s"})
    found = traffic.load(site.client, "transfer", sites.FAR.remote,
                         timeout=scenario.limit + 60, **options)
    if not scenario.size and found["stopped"]:
        raise traffic.Failed(f"flows that were to end after {PAIR_SECONDS} s did not")
    again = sites.retransmitted(sender) - before
    figures = {"retransmitted": again * wan.PAYLOAD / (scenario.size or found["up"] + found["down"])}
    capacity = scenario.rate * 1e6 / 8 * wan.PAYLOAD / wan.PACKET  # payload bytes a second
    if scenario.size:
        figures.update(seconds=found["seconds"], over_bound=found["seconds"] / scenario.bound,
                       stopped=found["stopped"])
        if not found["stopped"]:
            figures["goodput"] = scenario.size / found["seconds"] / capacity
    else:
        shares = [flow[scenario.direction] for flow in found["flows"]]
        figures.update(jain=jain(shares), goodput=sum(shares) / PAIR_SECONDS / capacity)
    if not up:
        firsts = sorted(flow["first_byte"] for flow in found["flows"] if flow["first_byte"])
        figures["first_byte"] = firsts[len(firsts) // 2] if firsts else None
    return figures, found["series"]["bytes"]


def measure(entrant, scenario, number):
    """A link of its own, the transfer, and whether the link did what it should."""
    seed = number * 1000 + 1
    with entrant.site.long_way(scenario.rate * 1e6, scenario.rtt / 1e3, scenario.loss / 100,
                               seed) as link:
        figures, series = transfer(entrant, scenario)
        # what ends has to cross the link, too, before it is taken away
        with contextlib.suppress(AssertionError):
            rig.wait_for(lambda: not entrant.site.remote.tcp("src", sites.FAR.remote),
                         "the remote's connections are gone", QUIET_SECONDS)
    return {**figures, "lost": link.sum("losses"), "late_max": link.late_max,
            "unfaithful": link.unfaithful}, series


class Wan:
    """The group: entrants that stay for all scenarios."""

    def __init__(self, run, directory, chosen, lanes):
        self.run, self.lanes = run, lanes
        self.series = {}  # by scenario, contender and round
        self.entrants = []
        for number, contender in enumerate(chosen):
            entrant = contenders.Entrant(contender, sites.Site(f"w{number}", directory))
            self.entrants.append(entrant)
            entrant.serve()
            if contender.kind != "sluice":
                entrant.start(sites.FAR.remote)

    def race(self, scenarios, rounds):
        for scenario in scenarios:
            self.run.scenarios[scenario.name] = scenario.describe()
        key = lambda scenario: (scenario.rate, scenario.rtt)  # noqa: E731
        for _, group in itertools.groupby(sorted(scenarios, key=key), key):
            self._race_on_one_link(list(group), rounds)
        for scenario in scenarios:
            for entrant in self.entrants:
                self._keep_typical_series(scenario, entrant.contender.name)

    def _keep_typical_series(self, scenario, name):
        """The time series of the round with the median time."""
        rounds = sorted((row["figures"]["seconds"], row["round"]) for row in self.run.rows
                        if (row["scenario"], row["contender"]) == (scenario.name, name)
                        and "seconds" in row["figures"])
        if rounds:
            _, number = rounds[(len(rounds) - 1) // 2]
            self.run.series.setdefault(scenario.name, {})[name] = self.series[
                scenario.name, name, number]

    def _race_on_one_link(self, scenarios, rounds):
        """These have the link's parameters in common: sluice is told them once."""
        served = [entrant for entrant in self.entrants if entrant.contender.kind == "sluice"]
        for entrant in served:
            entrant.start(sites.FAR.remote, scenarios[0].link)
        lanes = self.lanes if scenarios[0].rate <= 100 else 1
        with concurrent.futures.ThreadPoolExecutor(lanes) as pool:
            for number in range(rounds):
                for scenario in scenarios:
                    waiting = [pool.submit(self._one, entrant, scenario, number)
                               for entrant in self.entrants]
                    for one in waiting:
                        one.result()
        for entrant in served:
            entrant.stop()

    def _one(self, entrant, scenario, number):
        name = entrant.contender.name
        try:
            figures, series = measure(entrant, scenario, number)
        except (traffic.Failed, AssertionError) as error:
            print(f"wan: {scenario.name}: {name}: FAILED: {error}", file=sys.stderr)
            self.run.fail(scenario.name, name, number, error)
            return
        self.run.add(scenario.name, name, number, **figures)
        self.series[scenario.name, name, number] = series
        print(f"wan: {scenario.name}: {name}: " + (
            f"{figures['seconds']:.2f} s, {figures['over_bound']:.2f} x the bound"
            + (" (stopped)" if figures["stopped"] else "") if scenario.size
            else f"Jain {figures['jain']:.3f}"), file=sys.stderr)

    def close(self):
        with contextlib.ExitStack() as stack:
            for entrant in self.entrants:
                stack.callback(entrant.close)

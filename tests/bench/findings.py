# SPDX-License-Identifier: GPL-2.0
"""
What a run says about the promises: targets that are met or missed, and every
scenario in which sluice is slower than no sluice at all, with the reason.
"""
from dataclasses import dataclass

import contenders
import wan_rows

SLOWER = 1.05  # times straight through: from there on it has to be explained
STRAIGHT, STRAIGHT_BBR, FORWARDING = "straight, CUBIC", "straight, BBR", "forwarding"
NOT_MEASURED, MET, MISSED = "not measured", "met", "missed"
UNEXPLAINED = "**no reason is known: this is to be looked into**"


@dataclass(frozen=True)
class Target:
    """A promise and what became of it."""

    text: str
    found: str
    outcome: str


def judge(text, value, holds, form="{:.2f}"):
    if value is None:
        return Target(text, "", NOT_MEASURED)
    return Target(text, form.format(value), MET if holds(value) else MISSED)


def ratio(left, right):
    return left / right if left is not None and right else None


def wan_targets(run):
    for base in wan_rows.both_ways(wan_rows.BASE):
        where = f"20 MB {base.direction}, 100 Mbit/s, 100 ms, 0.1 %"
        for name, most in (("sluice, linkrate + skip", 1.2), ("sluice, bbr", 1.5)):
            yield judge(f"{where}: {name} at most {most} x the bound",
                        run.median(base.name, name, "over_bound"), lambda v, most=most: v <= most)
        yield judge(f"{where}: linkrate + skip at least 3 x faster than CUBIC straight",
                    ratio(run.median(base.name, STRAIGHT, "seconds"),
                          run.median(base.name, "sluice, linkrate + skip", "seconds")),
                    lambda v: v >= 3)
    for feel in wan_rows.both_ways(wan_rows.FEEL):
        for name in "sluice, linkrate + skip", "sluice, bbr + skip":
            yield judge(f"1 MB {feel.direction}, 100 Mbit/s, 300 ms, no loss: {name} at most "
                        "1.5 x the bound", run.median(feel.name, name, "over_bound"),
                        lambda v: v <= 1.5)


def engines(run, *scenarios):
    """The engines of sluice that were measured: whom gateway targets are about."""
    return [name for name in run.contenders(*scenarios) if name.startswith("sluice")]


def gateway_targets(run):
    def compare(scenario, figure, other, text, holds):
        for name in engines(run, scenario):
            yield judge(f"{scenario}: {name} {text}",
                        ratio(run.median(scenario, name, figure),
                              run.median(scenario, other, figure)), holds)

    for bulk in (name for name in run.in_group("gateway") if name.startswith("bulk")):
        yield from compare(bulk, "rate", FORWARDING, "at least 0.7 x forwarding",
                           lambda v: v >= 0.7)
        yield from compare(bulk, "rate", "HAProxy", "at least 2.5 x HAProxy", lambda v: v >= 2.5)
    small = "64 B requests, 64 connections"
    yield from compare(small, "answers", "HAProxy", "above HAProxy", lambda v: v > 1)
    for name in engines(run, small):
        yield judge(f"{small}: {name}'s own processor time below 0.9 of HAProxy's",
                    ratio(alone(run, small, name, "cpu_per_100k"),
                          alone(run, small, "HAProxy", "cpu_per_100k")), lambda v: v < 0.9)
    yield from compare("connect-request-close, 16 at once", "answers", "HAProxy",
                       "at least 1.2 x HAProxy", lambda v: v >= 1.2)
    one = "connection time, one at a time"
    for name in engines(run, one):
        straight, through = (run.median(one, who, "connect_p50") for who in (FORWARDING, name))
        yield judge(f"{one}: {name}, honest, adds less than 1 ms",
                    None if None in (straight, through) else (through - straight) * 1e3,
                    lambda v: v < 1, "{:.3f} ms")
    for scenario in run.in_group("foreign"):
        about = run.scenarios[scenario]
        if not about.get("target"):
            continue
        yield judge(f"{scenario}: at least 0.97 of the rate with no ports in the tables",
                    run.median(scenario, about["target"], "ratio"), lambda v: v >= 0.97, "{:.3f}")


def targets(run):
    return [*wan_targets(run), *gateway_targets(run)]


def alone(run, scenario, contender, figure):
    """What the gateway costs by itself: all that is used less what straight through uses."""
    through, straight = (run.median(scenario, who, figure) for who in (contender, FORWARDING))
    return None if None in (through, straight) else through - straight


def overlap(run, scenario, left, right, figure):
    a, b = run.spread(scenario, left, figure), run.spread(scenario, right, figure)
    return len(run.values(scenario, left, figure)) > 1 and a[0] <= b[1] and b[0] <= a[1]


def why_wan(run, scenario, name, straight):
    about = run.scenarios[scenario]
    later = run.median(scenario, name, "seconds") - run.median(scenario, straight, "seconds")
    like = (STRAIGHT_BBR if "bbr" in name
            else STRAIGHT if name == "sluice, defaults" or "parallel" in name else None)
    if like and like != straight and ratio(run.median(scenario, name, "seconds"),
                                           run.median(scenario, like, "seconds")) <= SLOWER:
        return f"it is the algorithm: {like} takes as long, or longer"
    if "parallel" in name and later < 3.5e-3 * about["rtt"]:
        return ("one round trip more, as an agent that ends the trunk asks the application first, and "
                "one or two for MPTCP: the kernel gives bytes to connections that have just joined, "
                "whose windows are small")
    if overlap(run, scenario, name, straight, "seconds"):
        return "within the spread: their ranges overlap"
    if later < 0.01:
        return f"{later * 1e3:.1f} ms: the gateway's own time, which shows in so short a transfer"
    if "linkrate" in name and about["loss"] >= 1:
        return "linkrate takes a link that loses so much for full now and then, and slows down"
    return UNEXPLAINED


WHY_GATEWAY = {
    "transfer": "every byte is received and sent again: TCP is done twice, which forwarding "
                "whole super-packets is not",
    "request": "each way has two more sockets and a relay to be woken",
    "reconnect": "two connections are made for one, after a SYN that was held",
}


def slower(run):
    """(scenario, contender, times straight through, why) of each that has to be explained."""
    found = []
    for scenario in run.in_group("wan"):
        for name in engines(run, scenario):
            own = next(one for one in contenders.WAN if one.name == name)
            straights = [STRAIGHT] + ([STRAIGHT_BBR] if own.params else [])
            for straight in straights:
                times = ratio(run.median(scenario, name, "seconds"),
                              run.median(scenario, straight, "seconds"))
                if times and times > SLOWER:
                    found.append((scenario, f"{name} against {straight}", times,
                                  why_wan(run, scenario, name, straight)))
    for scenario in run.in_group("gateway"):
        figure = run.scenarios[scenario]["figure"]
        for name in engines(run, scenario):
            times = ratio(run.median(scenario, name, figure),
                          run.median(scenario, FORWARDING, figure))
            if times and figure != "connect_p50":
                times = 1 / times
            if times and times > SLOWER:
                why = WHY_GATEWAY[run.scenarios[scenario]["verb"]]
                if overlap(run, scenario, name, FORWARDING, figure):
                    why += " (in this run their ranges overlap)"
                found.append((scenario, f"{name} against {FORWARDING}", times, why))
    return found

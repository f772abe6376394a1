# SPDX-License-Identifier: GPL-2.0
"""What came of the machines: read from their folders of results, told on the
terminal, and written as the tables of docs/kernels.md."""
import json
import os
from dataclasses import dataclass, field

NOTHING_RUN = 77  # exit status, as automake has it

HEADER = """# Kernels

What Linux kernels of distributions offer, what sluice does where something is
missing, and what came of its tests on them. Written by `sudo make vmtest`, which
boots each in a virtual machine ([testing.md](testing.md)); not to be edited.
"""


@dataclass
class Outcome:
    """What came of one kernel. The lists hold "step test: reason"."""

    name: str  # as it was asked for
    how: str  # by what the machine was run
    kernel: object = None  # None: there is none
    features: dict = field(default_factory=dict)  # empty: it did not come up
    ways: dict = field(default_factory=dict)  # what the tests saw sluice do: {what: how}
    ran: dict = field(default_factory=dict)  # step: its counts, for people
    passed: int = 0
    failed: list = field(default_factory=list)
    skipped: list = field(default_factory=list)
    seconds: int = 0
    wan: dict | None = None  # what wan_transfer wrote

    def __str__(self):
        return f"{self.name} ({self.kernel.origin})" if self.kernel else self.name


def read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (FileNotFoundError, ValueError):
        return None


def collect(outcome, results, steps):
    """Reads what a machine left. A step without a result has failed."""
    outcome.features = read(os.path.join(results, "features.json")) or {}
    done = read(os.path.join(results, "done.json")) or {}
    for step in steps:
        name, folder = step["name"], os.path.join(results, step["folder"])
        came = done.get(name)
        if name == "wan":
            collect_wan(outcome, came, read(os.path.join(folder, "wan.json")))
            continue
        summary = read(os.path.join(folder, "summary.json"))
        if not came or not summary:
            outcome.failed.append(f"{name}: left no result" + (
                f", not done in {step['seconds']} s" if came and came["status"] is None else ""))
            continue
        outcome.ran[name] = (f"{summary['passed']} passed, {len(summary['failed'])} failed, "
                             f"{len(summary['skipped'])} skipped, {came['seconds']} s")
        outcome.passed += summary["passed"]
        outcome.failed += summary["failed"]
        outcome.skipped += summary["skipped"]
        if name != "fallback":  # its way is forced
            outcome.ways.update(summary["ways"])
        if came["status"] not in (0, 1) or (came["status"] and not summary["failed"]):
            outcome.failed.append(f"{name}: ended with status {came['status']}")


def collect_wan(outcome, came, times):
    if not came or came["status"] != 0 or not times:
        outcome.failed.append("wan: the transfers were not all made")
        return
    outcome.wan = times
    outcome.ran["wan"] = f"all transfers made, {came['seconds']} s"
    outcome.passed += 1


# ---- for people ----

def mark(value):
    return "yes" if value else "–"


def row(*cells):
    return "| " + " | ".join(str(cell) for cell in cells) + " |\n"


def table(first, columns, rows):
    return row(first, *columns) + "|---" * (len(columns) + 1) + "|\n" + \
        "".join(row(*cells) for cells in rows)


def keys_of(dictionaries):
    return list(dict.fromkeys(key for one in dictionaries for key in one))


def wan_rows(outcomes):
    for outcome in outcomes:
        times = outcome.wan["seconds"] if outcome.wan else {}
        for what, by_link in times.items():
            netem, wanem = by_link.get("netem"), by_link.get("wanem")
            if netem and wanem:
                yield (outcome.kernel.release, what, f"{netem:.2f}", f"{wanem:.2f}",
                       f"{wanem / netem:.2f}")


def document(outcomes):
    """docs/kernels.md."""
    outcomes = [one for one in outcomes if one.features]
    names = [one.kernel.release for one in outcomes]
    parts = [HEADER, "\n## Features\n\nEach was tried on the running kernel.\n\n",
             table("feature", names, ((feature, *(mark(one.features.get(feature))
                                                  for one in outcomes))
                                      for feature in keys_of(one.features for one in outcomes)))]
    ways = keys_of(one.ways for one in outcomes)
    if ways:
        parts += ["\n## What sluice does there\n\nAs the tests saw it "
                  "(`tests/net/test_kernel.py`).\n\n",
                  table("what", names, ((way, *(one.ways.get(way, "not tested")
                                                for one in outcomes)) for way in ways))]
    parts += ["\n## Tests\n\n",
              table("kernel", ("packages", "run by", "passed", "failed", "skipped", "seconds"),
                    ((one.kernel.release, one.kernel.origin, one.how, one.passed,
                      len(one.failed), len(one.skipped), one.seconds) for one in outcomes))]
    for one in outcomes:
        parts.append(f"\n{one.kernel.release}:\n\n")
        parts += [f"* {step}: {counts}\n" for step, counts in one.ran.items()]
        parts += [f"* failed: {line}\n" for line in one.failed]
        parts += [f"* skipped: {line}\n" for line in one.skipped]
    rows = list(wan_rows(outcomes))
    if rows:
        link = next(one.wan["link"] for one in outcomes if one.wan)
        parts += [f"\n## The kernel's link emulator and ours\n\nSeconds of transfers over netem "
                  f"and over wanem, {link}.\nOne transfer each, in a virtual machine: "
                  "they show whether both are the same link, not how fast sluice is.\n\n",
                  table("kernel", ("transfer", "netem", "wanem", "wanem / netem"), rows)]
    return "".join(parts)


def tell_one(one):
    print(f"=== {one}, {one.how}, {one.seconds} s")
    if one.features:
        print("has: " + ", ".join(name for name, there in one.features.items() if there))
        print("has not: " + (", ".join(name for name, there in one.features.items() if not there)
                             or "nothing of the list"))
    for what, how in (*one.ways.items(), *one.ran.items()):
        print(f"{what}: {how}")
    for _, what, netem, wanem, ratio in wan_rows([one]):
        print(f"{what}: {netem} s over netem, {wanem} s over wanem, {ratio} x")
    for line in one.skipped:
        print(f"skipped: {one.name}: {line}")
    for line in one.failed:
        print(f"FAILED: {one.name}: {line}")


def tell(outcomes):
    """Says what came of each, and in the last line of all. Returns the exit status."""
    for one in outcomes:
        tell_one(one)
    passed = sum(one.passed for one in outcomes)
    failed = sum(len(one.failed) for one in outcomes)
    skipped = sum(len(one.skipped) for one in outcomes)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    if failed:
        return 1
    return 0 if passed else NOTHING_RUN

# SPDX-License-Identifier: GPL-2.0
"""
A run: what was measured, round by round, as JSON. A row is one measurement of
one contender in one scenario; its figures are numbers by name.
"""
import json
import statistics

import contenders


class Run:
    """Scenarios in the order they were measured, and all rows."""

    def __init__(self, about=None):
        self.about = about or {}
        self.scenarios = {}  # id: what it is
        self.rows = []
        self.absent = {}  # contender: why it does not take part
        self.series = {}  # scenario: {contender: bytes in each 50 ms, of the round with the median time}

    def add(self, scenario, contender, number, **figures):
        rounded = {name: float(f"{value:.6g}") if isinstance(value, float) else value
                   for name, value in figures.items()}
        self.rows.append({"scenario": scenario, "contender": contender, "round": number,
                          "figures": rounded})

    def fail(self, scenario, contender, number, why):
        self.rows.append({"scenario": scenario, "contender": contender, "round": number,
                          "failed": str(why), "figures": {}})

    def in_group(self, group):
        """Ids of the scenarios of a group."""
        return [name for name, about in self.scenarios.items() if about["group"] == group]

    def contenders(self, *scenarios):
        """Those who took part, in the order of their table."""
        there = list(dict.fromkeys(row["contender"] for row in self.rows
                                   if row["scenario"] in scenarios))
        table = (contenders.WAN if any(self.scenarios.get(name, {}).get("group") == "wan"
                                       for name in scenarios) else contenders.GATEWAY)
        places = {contender.name: place for place, contender in enumerate(table)}
        return sorted(there, key=lambda name: places.get(name, len(places)))

    def values(self, scenario, contender, figure):
        return [row["figures"][figure] for row in self.rows
                if (row["scenario"], row["contender"]) == (scenario, contender)
                and row["figures"].get(figure) is not None]

    def median(self, scenario, contender, figure):
        """None when it was not measured."""
        values = self.values(scenario, contender, figure)
        return statistics.median(values) if values else None

    def spread(self, scenario, contender, figure):
        """(least, most), or None."""
        values = self.values(scenario, contender, figure)
        return (min(values), max(values)) if values else None

    def is_stopped(self, scenario, contender):
        """Whether the median is that of a transfer that was stopped: it is more than that."""
        stopped = [row["figures"].get("stopped", False) for row in self.rows
                   if (row["scenario"], row["contender"]) == (scenario, contender)]
        return 2 * sum(stopped) > len(stopped)

    def failures(self):
        """Rows of what did not come through."""
        return [row for row in self.rows if "failed" in row]

    def save(self, path):
        """A row a line, so that two runs can be looked at side by side."""
        with open(path, "w") as out:
            parts = [f"{json.dumps(name)}: {json.dumps(value)}"
                     for name, value in vars(self).items() if name != "rows"]
            rows = ",\n".join(json.dumps(row) for row in self.rows)
            out.write("{" + ",\n".join([*parts, f'"rows": [\n{rows}\n]']) + "}\n")

    @classmethod
    def load(cls, path):
        run = cls()
        with open(path) as text:
            vars(run).update(json.load(text))
        return run

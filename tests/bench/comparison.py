# SPDX-License-Identifier: GPL-2.0
"""Two runs side by side, by ratios that do not depend on how fast the machine was."""
import statistics
from dataclasses import dataclass

import findings

WORSE, BETTER, SAME = "WORSE", "better", "same"
MORE_IS_BETTER = {"rate", "answers", "ratio", "jain"}
FOREIGN = {"1 000 ports", "100 000 ports", "xdp, 0 ports", "xdp, 50 000 ports"}  # sluice by another name


@dataclass(frozen=True)
class Change:
    """One figure then and now; worse is above 1 when it got worse."""

    scenario: str
    contender: str
    figure: str
    before: float
    after: float
    worse: float
    verdict: str


def figures(run, scenario):
    """(figure, what it is divided by) of a scenario."""
    about = run.scenarios[scenario]
    if about["group"] == "wan":
        yield ("over_bound" if about["size"] else "jain"), 1
    elif about["group"] == "foreign":
        yield "ratio", 1
    elif about["group"] == "gateway":
        cost = "cpu_per_gb" if about["verb"] == "transfer" else "cpu_per_100k"
        for figure in about["figure"], cost:
            yield figure, run.median(scenario, findings.FORWARDING, figure)


def changes(base, run, tolerance):
    """Every figure of sluice that both runs have."""
    found = []
    for scenario in run.scenarios:
        if scenario not in base.scenarios:
            continue
        before = dict(figures(base, scenario))
        for figure, reference in figures(run, scenario):
            for contender in run.contenders(scenario):
                if contender == findings.FORWARDING or not reference or not before.get(figure) or \
                        not (contender.startswith("sluice") or contender in FOREIGN):
                    continue
                old = [value / before[figure] for value in base.values(scenario, contender, figure)]
                new = [value / reference for value in run.values(scenario, contender, figure)]
                if old and new:
                    found.append(compare(scenario, contender, figure, old, new, tolerance))
    return found


def compare(scenario, contender, figure, old, new, tolerance):
    before, after = statistics.median(old), statistics.median(new)
    more = figure in MORE_IS_BETTER
    worse = (before / after if more else after / before) if before and after else 1.0
    apart = max(new) < min(old) if more else min(new) > max(old)
    better_apart = min(new) > max(old) if more else max(new) < min(old)
    verdict = SAME
    if worse > 1 + tolerance and apart:
        verdict = WORSE
    elif worse < 1 / (1 + tolerance) and better_apart:
        verdict = BETTER
    return Change(scenario, contender, figure, before, after, worse, verdict)

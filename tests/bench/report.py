# SPDX-License-Identifier: GPL-2.0
"""A run as Markdown: a summary with the plots, then every figure with its spread."""
import findings
import wan_rows


def table(head, rows):
    lines = [f"| {' | '.join(head)} |", "|---" + "|---:" * (len(head) - 1) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(map(str, row))} |" for row in rows)]) + "\n"


def number(value):
    """Three digits that count."""
    if value is None:
        return "-"
    if value == 0 or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.3g}"


def with_spread(run, scenario, contender, figure, factor=1):
    """Median (least-most)."""
    value = run.median(scenario, contender, figure)
    if value is None:
        return "-"
    least, most = run.spread(scenario, contender, figure)
    if least == most:
        return number(value * factor)
    return f"{number(value * factor)} ({number(least * factor)}-{number(most * factor)})"


def percent(value):
    return "-" if value is None else f"{value * 100:.3g} %"


def about(run):
    said = run.about
    rounds = {}
    for row in run.rows:
        group = run.scenarios[row["scenario"]]["group"]
        rounds[group] = max(rounds.get(group, 0), row["round"] + 1)
    counts = ", ".join(f"{group} {count}" for group, count in rounds.items())
    elsewhere = [row["figures"]["elsewhere"] for row in run.rows if "elsewhere" in row["figures"]]
    lines = [f"Run of {said['date']}: selection `{said['selection']}`, rounds: {counts}; "
             f"{said['minutes']:.0f} minutes. Kernel {said['kernel']}, {said['architecture']}, "
             f"{said['processors']} processors ({said['model']})."]
    if elsewhere:
        mean = sum(elsewhere) / len(elsewhere)
        lines.append(
            f"While the gateway was measured, {mean:.2f} of {said['processors']} processors were "
            "busy with other things on average, "
            f"{max(elsewhere):.2f} at most: " + (
                "the machine was quiet." if mean < 0.1 else
                "**the machine was not quiet; read the ratios, and those with care.**"))
    unfaithful = sum(row["figures"].get("unfaithful", False) for row in run.rows)
    if unfaithful:
        lines.append(f"**In {unfaithful} measurements the emulator was too slow and lost packets "
                     "that the link would have carried.**")
    for name, why in run.absent.items():
        lines.append(f"Not available: {name} ({why}).")
    for row in run.failures():
        lines.append(f"Failed: {row['scenario']}, {row['contender']}, round {row['round'] + 1}: "
                     f"{row['failed']}.")
    return "\n".join(f"* {line}" for line in lines) + "\n"


def promises(run):
    rows = [(one.text, one.found, one.outcome if one.outcome == findings.MET
             else f"**{one.outcome}**") for one in findings.targets(run)
            if one.outcome != findings.NOT_MEASURED]
    return table(("target", "found", ""), rows)


def slower(run):
    rows = [(scenario, who, f"{times:.2f}", why)
            for scenario, who, times, why in findings.slower(run)]
    if not rows:
        return "In no scenario was sluice slower than straight through by more than 5 %.\n"
    return ("Where sluice is slower than straight through by more than 5 %:\n\n"
            + table(("scenario", "who", "times as long", "why"), rows))


def wan_overview(run):
    """A row a scenario, a column a contender: times over the bound."""
    scenarios = [name for name in run.in_group("wan") if run.scenarios[name]["size"]]
    if not scenarios:
        return ""
    names = run.contenders(*scenarios)
    rows = []
    for scenario in scenarios:
        cells = [(">" if run.is_stopped(scenario, name) else "")
                 + number(run.median(scenario, name, "over_bound")) for name in names]
        rows.append((scenario, f"{run.scenarios[scenario]['bound']:.2f} s", *cells))
    return ("Time of a transfer over the bound, medians. The bound: two round trips for connect, "
            "request and first byte, and size over the link's rate at its payload share. `>`: "
            f"stopped at that time ({run.scenarios[scenarios[0]]['patience']} x the bound, but "
            f"{wan_rows.LIMIT_MIN:g} s at least and {wan_rows.LIMIT_MAX:g} s at most).\n\n"
            + table(("scenario", "bound", *names), rows))


def gateway_overview(run):
    scenarios = run.in_group("gateway")
    if not scenarios:
        return ""
    names = run.contenders(*scenarios)
    rows, costs = [], []
    for scenario in scenarios:
        figure, unit = run.scenarios[scenario]["figure"], run.scenarios[scenario]["unit"]
        factor, unit = (1e6, "µs") if unit == "s" else (1, unit)
        rows.append((f"{scenario}, {unit}",
                     *(with_spread(run, scenario, name, figure, factor) for name in names)))
        if figure == "connect_p50":
            rows.append((f"{scenario}, p99, µs", *(with_spread(
                run, scenario, name, "connect_p99", 1e6) for name in names)))
        figure = "cpu_per_gb" if figure == "rate" else "cpu_per_100k"
        unit = "GB" if figure == "cpu_per_gb" else "100 000"
        costs.append((f"{scenario}, s per {unit}",
                      number(run.median(scenario, findings.FORWARDING, figure)),
                      *(number(findings.alone(run, scenario, name, figure)) for name in names
                        if name != findings.FORWARDING)))
    others = [name for name in names if name != findings.FORWARDING]
    return (table(("scenario", *names), rows)
            + "\nProcessor time of the gateway alone: all that is used less what the same load uses "
            "when it is forwarded, which is the first column (client, server, and forwarding "
            "itself).\n\n" + table(("scenario", "forwarding, in all", *others), costs))


def idle(run):
    parts = []
    for scenario in run.in_group("idle"):
        names = run.contenders(scenario)

        def more(name, figure, scenario=scenario):
            return findings.alone(run, scenario, name, figure)

        rows = [(name, number(more(name, "slab")), number(more(name, "own")),
                 number(more(name, "descriptors"))) for name in names
                if name != findings.FORWARDING and more(name, "slab") is not None]
        parts.append(f"With {scenario}, the gateway's part of each flow:\n\n" + table(
            ("contender", "bytes in the kernel", "bytes in processes", "descriptors"), rows))
    return "\n".join(parts)


def foreign(run):
    parts = []
    for scenario in run.in_group("foreign"):
        rows = [(name, number(run.median(scenario, name, "rate") / 1e6),
                 number(run.median(scenario, name, "wall") / 1e6),
                 with_spread(run, scenario, name, "ratio"))
                for name in run.contenders(scenario)]
        parts.append(f"{scenario[0].upper()}{scenario[1:]}, millions of segments forwarded (one "
                     "processor sends and forwards):\n\n" + table(
                         ("tables", "a second of processor time", "a second",
                          "of the rate with 0 ports"), rows))
    return "\n".join(parts)


def emulator(run):
    rows = []
    for scenario in run.in_group("emulator"):
        said = {key: run.median(scenario, "wanem", key) for row in run.rows
                if row["scenario"] == scenario for key in row["figures"]}
        if "median_ms" in said:
            text = f"{said['median_ms']:.2f} ms in the median, {said['most_ms']:.2f} ms at most"
        elif "share" in said:
            text = (f"{said['share'] * 100:.2f} % of what it should carry, packets "
                    f"{said['late_max_ms']:.2f} ms late at most")
        elif "deviations" in said:
            text = (f"{said['lost']:.0f} of {said['segments']:.0f} segments, "
                    f"{said['deviations']:+.1f} standard deviations from the mean")
        elif "gbit" in said:
            text = f"{said['gbit']:.1f} Gbit/s"
        else:
            continue
        if said.get("unfaithful"):
            text += "; **it lost what it should have carried**"
        rows.append((scenario, text))
    return table(("asked for", "measured"), rows) if rows else ""


def pictures(names, directory=""):
    return "\n".join(f"![{name}]({directory}{name}.svg)\n" for name in names)


def summary(run, names, directory=""):
    """What docs/benchmarks.md shows as well."""
    wan = [name for name in names if name.startswith("wan")]
    rest = [name for name in names if name not in wan]
    parts = [about(run), "### Targets\n", promises(run), slower(run)]
    if wan_overview(run):
        parts += ["### Over a WAN\n", pictures(wan, directory), wan_overview(run), fairness(run)]
    if gateway_overview(run):
        parts += ["### What the gateway costs\n", pictures(rest, directory), gateway_overview(run)]
    if run.in_group("idle"):
        parts += ["### Idle flows\n", idle(run)]
    if run.in_group("foreign"):
        parts += ["### Traffic that is not sluice's\n", foreign(run)]
    if emulator(run):
        parts += ["### The emulator\n", emulator(run)]
    return "\n".join(part for part in parts if part)


def fairness(run):
    rows = []
    for scenario in run.in_group("wan"):
        if run.scenarios[scenario]["size"]:
            continue
        rows += [(scenario, name, with_spread(run, scenario, name, "jain"),
                  percent(run.median(scenario, name, "goodput")),
                  percent(run.median(scenario, name, "retransmitted")))
                 for name in run.contenders(scenario)]
    return "Two flows at once: Jain's index (1 is fair, 0.5 is all for one).\n\n" + table(
        ("scenario", "contender", "Jain", "of the link", "sent again"), rows) if rows else ""


def wan_details(run):
    parts = []
    for scenario in run.in_group("wan"):
        if not run.scenarios[scenario]["size"]:
            continue
        rows = [(name, (">" if run.is_stopped(scenario, name) else "")
                 + with_spread(run, scenario, name, "seconds"),
                 number(run.median(scenario, name, "over_bound")),
                 percent(run.median(scenario, name, "goodput")),
                 with_spread(run, scenario, name, "first_byte"),
                 percent(run.median(scenario, name, "retransmitted")))
                for name in run.contenders(scenario)]
        parts.append(f"#### {scenario}\n\n" + table(
            ("contender", "seconds", "x bound", "of the link", "first byte, s", "sent again"), rows))
    return "\n".join(parts)


def full(run, names):
    return "# Benchmarks of sluice\n\n" + summary(run, names) + (
        "\n### Every transfer\n\nMedians, least and most of the rounds. First byte: of downloads. "
        "Sent again: segments that the WAN's sender sent again, of those the file needs.\n\n"
        + wan_details(run) if run.in_group("wan") else "")

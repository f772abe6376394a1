# SPDX-License-Identifier: GPL-2.0
"""
Pictures of a run by gnuplot, each as SVG and PNG: bars for figures with their
spread, curves along an axis, time series.
"""
import os
import subprocess

import wan
import wan_rows

COLOURS = {
    "straight, CUBIC": "#7f7f7f", "straight, BBR": "#404040", "forwarding": "#7f7f7f",
    "HAProxy": "#e07b00", "read/write relay": "#b8860b", "sluice, defaults": "#9ecae1",
    "sluice, bbr": "#4292c6", "sluice, bbr + skip": "#08519c", "sluice, linkrate": "#74c476",
    "sluice, linkrate + skip": "#006d2c", "sluice, parallel = 4": "#9e5fb5",
    "sluice, splice": "#4292c6", "sluice, kernel": "#006d2c", "sluice, auto": "#74c476",
    "sluice, xdp": "#9e5fb5",
}
WIDTH, TITLE_HEIGHT, BAR_HEIGHT, PANEL_EXTRA = 900, 40, 24, 70
LINES_HEIGHT = 420
BIN = 0.05  # seconds, of a time series


def escape(text):
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("_", "\\\\_")


def draw(directory, name, height, commands):
    """Both formats of one picture."""
    for terminal, suffix in ((f"svg size {WIDTH},{height} font 'DejaVu Sans,13' background 'white'",
                              "svg"),
                             (f"png truecolor size {WIDTH},{height} font 'DejaVu Sans,11'",
                              "png")):
        path = os.path.join(directory, f"{name}.{suffix}")
        script = f"set terminal {terminal}\nset output '{path}'\n{commands}\nunset output\n"
        done = subprocess.run(["gnuplot"], input=script, text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode or not os.path.getsize(path):
            raise RuntimeError(f"gnuplot: {name}.{suffix}: {done.stdout}")


def panel(title, unit, bars, best):
    """Commands for one panel of horizontal bars: (label, value, least, most, text)."""
    rows, labels = [], []
    top = max(most for _, _, _, most, _ in bars) or 1
    for place, (label, value, least, most, text) in enumerate(bars):
        y = len(bars) - place
        colour = int(COLOURS.get(label, "#4292c6")[1:], 16)
        rows.append(f"{value} {y} 0 {value} {y - 0.36} {y + 0.36} {least} {most} {colour}")
        labels.append(f'"{escape(label)}" {y}')
        rows[-1] += f' "{escape(text)}" {most + top * 0.012}'
    data = "\n".join(rows)
    return f"""
$bars << EOD
{data}
EOD
set title "{escape(title)}" offset 0,-0.6
set xlabel "{escape(unit)} ({best})" offset 0,0.6
set xrange [0:{top * 1.2}]
set yrange [0.4:{len(bars) + 0.6}]
set ytics ({", ".join(labels)}) nomirror scale 0
set xtics nomirror
set border 1
set grid xtics lc rgb '#dddddd'
unset key
plot $bars using 1:2:3:4:5:6:9 with boxxyerror fs solid 0.9 noborder lc rgb variable, \\
     $bars using 1:2:7:8 with xerrorbars pt 0 lw 1.5 lc rgb '#222222', \\
     $bars using 11:2:10 with labels left offset 0.3,0 font ',10'
"""


def bars(run, directory, name, title, panels, best="less is better"):
    """panels: (scenario, figure, unit, factor, format)."""
    commands, height = [], TITLE_HEIGHT
    for scenario, figure, unit, factor, form in panels:
        drawn = []
        for contender in run.contenders(scenario):
            value = run.median(scenario, contender, figure)
            if value is None:
                continue
            least, most = (limit * factor for limit in run.spread(scenario, contender, figure))
            more = "> " if run.is_stopped(scenario, contender) else ""
            drawn.append((contender, value * factor, least, most,
                          more + form.format(value * factor)))
        if drawn:
            share = len(drawn) * BAR_HEIGHT + PANEL_EXTRA
            commands.append((panel(run.scenarios[scenario]["name"], unit, drawn, best), share))
            height += share
    if not commands:
        return None
    script, y = [f"set multiplot title \"{escape(title)}\" font ',15'\nset lmargin 24\n"
                 "set rmargin 4\n"], height - TITLE_HEIGHT
    for command, share in commands:
        y -= share
        script.append(f"set size 1,{share / height:.4f}\nset origin 0,{y / height:.4f}\n{command}")
    draw(directory, name, height, "\n".join(script) + "\nunset multiplot")
    return name


TICS = {"loss": "{:g} %%", "rtt": "{:g} ms", "rate": "{:g} Mbit/s"}


def tic(axis, value):
    """A value as the axis has it written; gnuplot takes a % for a format."""
    if axis == "size":
        return f"{value / 1e3:g} KB" if value < 1e6 else f"{value / 1e6:g} MB"
    return TICS[axis].format(value)


def curves(run, directory, name, title, axis, values):
    """Times over the bound along an axis, one panel a direction, as far as it was measured."""
    panels = []
    for direction in wan_rows.DIRECTIONS:
        scenarios = {value: wan_rows.Scenario(**{**vars(wan_rows.BASE), axis: value,
                                                 "direction": direction}).name for value in values}
        scenarios = {value: scenario for value, scenario in scenarios.items()
                     if scenario in run.scenarios}
        if len(scenarios) < 2:
            return None
        lines = []
        for contender in run.contenders(*scenarios.values()):
            points = [(place, run.median(scenario, contender, "over_bound"))
                      for place, scenario in enumerate(scenarios.values())]
            points = "\n".join(f"{x} {y}" for x, y in points if y is not None)
            lines.append((contender, points))
        tics = ", ".join(f'"{tic(axis, value)}" {place}' for place, value in enumerate(scenarios))
        blocks = "".join(f"$line{n} << EOD\n{points}\nEOD\n" for n, (_, points) in enumerate(lines))
        plots = ", ".join(f'$line{n} with linespoints pt {5 + n % 3 * 2} ps 1 lw 2 '
                          f'lc rgb "{COLOURS[who]}" title "{escape(who)}"'
                          for n, (who, _) in enumerate(lines))
        left = 0.07 if direction == "down" else 0.43
        key = ("set key at screen 0.99,0.75 samplen 2\nunset ylabel" if direction == "up"
               else "unset key")
        panels.append(f'{blocks}set lmargin at screen {left}\nset rmargin at screen {left + 0.32}\n'
                      f'set title "{direction}"\nset xtics ({tics})\n{key}\n'
                      f'set xrange [-0.2:{len(scenarios) - 0.8}]\nplot {plots}')
    script = (f"set multiplot title \"{escape(title)}\" font ',14'\nset logscale y\n"
              "set ytics (1, 1.2, 1.5, 2, 3, 5, 10, 20)\nset yrange [0.95:*]\n"
              "set grid ytics lc rgb '#dddddd'\nset ylabel 'times the bound'\n"
              "set size 1,0.92\nset xtics font ',10'\nset origin 0,0\n" + panels[0] +
              "\nset origin 0,0\n" + panels[1] + "\nunset multiplot")
    draw(directory, name, LINES_HEIGHT, script)
    return name


def series(run, directory, name, scenario):
    """What the receiver had got when, beside a link that is full from the first byte on."""
    if scenario not in run.series:
        return None
    blocks, plots = [], []
    link = run.scenarios[scenario]
    for number, contender in enumerate(run.contenders(scenario)):
        received, total, points = run.series[scenario].get(contender, []), 0, ["0 0"]
        for at, part in enumerate(received):
            total += part
            points.append(f"{(at + 1) * BIN:.2f} {total / 1e6:.4f}")
        blocks.append(f"$s{number} << EOD\n" + "\n".join(points) + "\nEOD")
        plots.append(f'$s{number} with lines lw 2 lc rgb "{COLOURS[contender]}" '
                     f'title "{escape(contender)}"')
    if not plots:
        return None
    full = link["rate"] / 8 * wan.PAYLOAD / wan.PACKET  # MB/s
    draw(directory, name, LINES_HEIGHT, "\n".join(blocks) + f"""
set title "{escape(scenario)}"
set xlabel "seconds"
set ylabel "MB received"
set yrange [0:{link["size"] / 1e6 * 1.05}]
set xrange [0:*]
set key outside right center samplen 2
set grid lc rgb '#dddddd'
plot {", ".join(plots)}, \\
     (x > {link["rtt"] / 500} ? {full} * (x - {link["rtt"] / 500}) : 0) with lines dt 2 lw 1.5 \\
     lc rgb "black" title "the bound"
""")
    return name


def of_wan(run, directory):
    base, feel = (wan_rows.both_ways(one) for one in (wan_rows.BASE, wan_rows.FEEL))
    yield bars(run, directory, "wan-20mb", "20 MB over 100 Mbit/s, 100 ms, 0.1 % loss",
               [(one.name, "over_bound", "times the bound", 1, "{:.2f}") for one in base])
    yield bars(run, directory, "wan-1mb", "1 MB on a fresh connection, 100 Mbit/s, 300 ms, no loss",
               [(one.name, "seconds", "seconds", 1, "{:.2f} s") for one in feel])
    for one in base:
        yield series(run, directory, f"wan-series-{one.direction}", one.name)
    for axis, values, title in (
            ("loss", wan_rows.LOSSES, "20 MB, 100 Mbit/s, 100 ms: by loss"),
            ("rtt", wan_rows.RTTS, "20 MB, 100 Mbit/s, 0.1 % loss: by round trip"),
            ("rate", wan_rows.RATES, "20 MB, 100 ms, 0.1 % loss: by rate"),
            ("size", wan_rows.SIZES, "100 Mbit/s, 100 ms, 0.1 % loss: by size")):
        yield curves(run, directory, f"wan-by-{axis}", title, axis, values)


def of_gateway(run, directory):
    scenarios = run.in_group("gateway")
    bulk = [name for name in scenarios if name.startswith("bulk")]
    requests = [name for name in scenarios if "requests" in name]
    connects = [name for name in scenarios if name.startswith("connect")]
    yield bars(run, directory, "gateway-bulk", "Bulk through the gateway",
               [(name, "rate", "Gbit/s", 1, "{:.1f}") for name in bulk], "more is better")
    yield bars(run, directory, "gateway-requests", "Requests and answers through the gateway",
               [(name, "answers", "thousand a second", 1e-3, "{:.1f}") for name in requests],
               "more is better")
    yield bars(run, directory, "gateway-connects", "Connections through the gateway",
               [(name, "answers", "connect-request-close a second", 1, "{:.0f}")
                for name in connects], "more is better")
    yield bars(run, directory, "gateway-cost-bulk", "Processor time of all hosts per GB",
               [(name, "cpu_per_gb", "seconds per GB", 1, "{:.2f}") for name in bulk])
    yield bars(run, directory, "gateway-cost-requests", "Processor time of all hosts per 100 000 requests",
               [(name, "cpu_per_100k", "seconds", 1, "{:.2f}") for name in requests + connects])


def draw_all(run, directory):
    """Names of the pictures that could be drawn of this run, without suffix."""
    return [name for name in (*of_wan(run, directory), *of_gateway(run, directory)) if name]

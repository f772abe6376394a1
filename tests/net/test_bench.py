# SPDX-License-Identifier: GPL-2.0
"""
The benchmarks: that their tools move what they say, that a run says of itself
what it should, and that a real one, small as it is, comes through.
"""
import copy
import json
import os
import shutil
import subprocess
import sys

import pytest

import gateway as daemon
import rig

BENCH = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "bench")
sys.path.append(BENCH)

import comparison  # noqa: E402
import contenders  # noqa: E402
import findings  # noqa: E402
import report  # noqa: E402
import results  # noqa: E402
import sites  # noqa: E402
import traffic  # noqa: E402
import wan_rows  # noqa: E402

STRAIGHT = contenders.Contender("straight, CUBIC", "straight")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    one = sites.Site(f"bench-{os.getpid()}", str(tmp_path_factory.mktemp("bench")))
    yield one
    one.close()


@pytest.fixture(scope="module")
def entrant(site):
    one = contenders.Entrant(STRAIGHT, site)
    one.serve()
    return one


def load(entrant, verb, **options):
    return traffic.load(entrant.site.client, verb, entrant.site.near_remote, **options)


# ---- the load tool ----

@pytest.mark.parametrize("direction", ["up", "down"])
@pytest.mark.parametrize("connections", [1, 8])
def test_a_transfer_moves_the_bytes_it_was_asked_for(entrant, direction, connections):
    found = load(entrant, "transfer", connections=connections, **{direction: 8_000_000})
    assert not found["stopped"]
    assert found[direction] == 8_000_000
    assert sum(found["series"]["bytes"]) == 8_000_000
    assert len(found["flows"]) == connections
    for flow in found["flows"]:
        assert flow[direction] == 8_000_000 // connections
        assert 0 < flow["connect"] <= flow["first_byte"] <= flow["seconds"] <= found["seconds"]


def test_a_stream_ends_in_time_with_what_arrived(entrant):
    for options in {"up": 1}, {"down": 1}, {"up": 1, "down": 1}:
        found = load(entrant, "transfer", connections=2, seconds="300ms", **options)
        assert 0.3 <= found["seconds"]
        assert {name for name in ("up", "down") if found[name]} == set(options)


def test_a_transfer_that_takes_too_long_is_stopped(entrant):
    with entrant.site.long_way(rate=1e6):
        found = traffic.load(entrant.site.client, "transfer", sites.FAR.remote, down=10_000_000,
                             limit="500ms")
    assert found["stopped"] and found["seconds"] == pytest.approx(0.5, abs=0.001)
    assert found["down"] < 10_000_000


def test_requests_are_answered_on_all_connections(entrant):
    found = load(entrant, "request", up=64, down=4096, connections=64, seconds="200ms")
    assert found["answers"] == found["latency"]["count"] >= 64
    assert 0 < found["latency"]["p50"] <= found["latency"]["p99"] <= found["latency"]["max"]


def test_each_request_may_have_a_connection(entrant):
    found = load(entrant, "reconnect", up=64, down=64, connections=4, seconds="200ms")
    assert found["answers"] > 4 and found["errors"] == 0
    assert found["connect"]["p50"] <= found["latency"]["p50"]


def test_idle_connections_stay(entrant):
    process = traffic.hold_idle(entrant.site.client, entrant.site.near_remote, 300)
    there = entrant.site.client.tcp("state", "established", "dport", f"= :{contenders.PORT}")
    assert len(there) == 300
    process.popen.stdin.close()
    assert process.wait() == 0


def test_a_refusal_is_said(entrant):
    with pytest.raises(traffic.Failed, match="exit 1"):
        load(entrant, "transfer", down=1000, port=9)


@pytest.mark.parametrize("arguments, message", [
    ([], "is not one verb"),
    (["dance", "--port", "1", "--address", "::1"], '"dance" is not a verb'),
    (["transfer", "--port", "0"], '"0" is not a port'),
    (["transfer", "--port", "1"], "--address is missing"),
    (["transfer", "--port", "1", "--address", "here"], '"here" is not an address'),
    (["transfer", "--up", "much"], '"much" is not a size'),
    (["transfer", "--seconds", "soon"], '"soon" is not a time'),
])
def test_a_mistake_is_named(arguments, message):
    done = rig.run(contenders.LOAD, *arguments, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr


# ---- contenders ----

@pytest.mark.parametrize("kind", ["haproxy", "relay", "sluice"])
def test_a_contender_stands_in_the_way(tmp_path, kind):
    """What the remote sees is a connection from the gateway, and bytes come through."""
    contender = contenders.Contender(kind, kind)
    why = contenders.why_not(contender, str(tmp_path))
    if why:
        pytest.skip(why)
    site = sites.Site(f"stand-{os.getpid()}", str(tmp_path))
    entrant = contenders.Entrant(contender, site)
    try:
        entrant.serve()
        entrant.start(site.near_remote)
        process = traffic.hold_idle(site.client, site.near_remote, 3)
        there = site.remote.tcp("state", "established", "sport", f"= :{contenders.PORT}")
        assert len(there) == 3
        assert all(sites.FAMILY.wan in line and sites.FAMILY.client not in line for line in there)
        process.popen.stdin.close()
        process.wait()
        for direction in "up", "down":
            assert load(entrant, "transfer", **{direction: 4_000_000})[direction] == 4_000_000
        entrant.stop()
    finally:
        entrant.close()


def test_what_the_tree_cannot_do_is_not_available(tmp_path):
    odd = contenders.Contender("odd", settings={"engine": "perpetuum"})
    assert "perpetuum" in contenders.why_not(odd, str(tmp_path))
    assert contenders.why_not(contenders.Contender("plain"), str(tmp_path)) is None


@pytest.mark.parametrize("emulator", ["wanem", "netem"])
def test_the_long_way_has_its_round_trip(entrant, monkeypatch, emulator):
    monkeypatch.setattr(sites.Site, "emulator", emulator)
    with entrant.site.long_way(100e6, 0.02) as link:
        found = traffic.load(entrant.site.client, "transfer", sites.FAR.remote, down=1_000_000)
    assert found["down"] == 1_000_000 and found["flows"][0]["connect"] >= 0.02
    assert not link.unfaithful
    assert link.sum("losses") == (0 if emulator == "wanem" else None)


# ---- what a run says of itself ----

BULK, BASE = "bulk down, 1 flow", wan_rows.BASE


def a_run(wan=(("straight, CUBIC", 8), ("sluice, defaults", 8)), rate=20):
    """A run made up of two rounds, the second a hundredth more."""
    run = results.Run({"date": "2026-01-01", "selection": "usual", "minutes": 1, **{
        name: "?" for name in ("kernel", "architecture", "processors", "model")}})
    run.scenarios[BASE.name] = BASE.describe()
    run.scenarios[BULK] = {"group": "gateway", "name": BULK, "verb": "transfer", "figure": "rate",
                           "unit": "Gbit/s"}
    for number, factor in enumerate((1, 1.01)):
        for name, seconds in wan:
            run.add(BASE.name, name, number, seconds=seconds * factor,
                    over_bound=seconds * factor / BASE.bound, stopped=False, retransmitted=0.001)
        for name, value in ("forwarding", 30), ("HAProxy", 10), ("sluice, splice", rate):
            run.add(BULK, name, number, rate=value * factor, cpu_per_gb=1 / value)
    return run


def test_slower_than_straight_is_always_said():
    about_wan = [row for row in findings.slower(a_run()) if row[0] == BASE.name]
    assert about_wan == []
    slow = a_run((("straight, CUBIC", 8), ("sluice, linkrate", 9)))
    (_, who, times, why), = (row for row in findings.slower(slow) if row[0] == BASE.name)
    assert who == "sluice, linkrate against straight, CUBIC"
    assert times == pytest.approx(9 / 8) and why == findings.UNEXPLAINED
    assert findings.UNEXPLAINED in report.full(slow, [])


def test_an_algorithm_is_compared_with_itself():
    slow = a_run((("straight, CUBIC", 8), ("straight, BBR", 9), ("sluice, bbr", 9)))
    (_, _, _, why), = (row for row in findings.slower(slow) if row[0] == BASE.name)
    assert "straight, BBR takes as long" in why


def test_targets_are_met_or_missed():
    def outcome(run, text):
        return next(one.outcome for one in findings.targets(run) if text in one.text)

    name = f"{BULK}: sluice, splice at least 0.7 x forwarding"
    assert outcome(a_run(rate=22), name) == findings.MET
    assert outcome(a_run(rate=20), name) == findings.MISSED
    fast = a_run((("straight, CUBIC", 8), ("sluice, linkrate + skip", 2)))
    assert outcome(fast, "20 MB down, 100 Mbit/s, 100 ms, 0.1 %: sluice, linkrate") == findings.MET
    assert outcome(fast, "up, 100 Mbit/s, 100 ms, 0.1 %: sluice, linkrate") \
        == findings.NOT_MEASURED


def test_the_gateway_alone_is_what_forwarding_does_not_use():
    assert findings.alone(a_run(), BULK, "HAProxy", "cpu_per_gb") \
        == pytest.approx(1 / 10 - 1 / 30, rel=1e-4)


def test_a_comparison_finds_what_got_worse_by_ratio():
    base = a_run()
    verdicts = {change.figure: change.verdict for change in
                comparison.changes(base, a_run(rate=10), 0.15)}
    assert verdicts["rate"] == comparison.WORSE
    assert verdicts["over_bound"] == comparison.SAME
    slower_machine = copy.deepcopy(base)
    for row in slower_machine.rows:
        if row["scenario"] == BULK:
            row["figures"]["rate"] /= 3
    assert not [change for change in comparison.changes(base, slower_machine, 0.15)
                if change.verdict != comparison.SAME]


def test_the_comparison_fails_for_a_regression(tmp_path):
    paths = [str(tmp_path / name) for name in ("base.json", "same.json", "worse.json")]
    for path, run in zip(paths, (a_run(), a_run(), a_run(rate=5))):
        run.save(path)
    command = os.path.join(BENCH, "compare")
    assert rig.run(command, paths[0], paths[1]).returncode == 0
    done = rig.run(command, paths[0], paths[2], check=False)
    assert done.returncode == 1 and done.stdout.startswith("WORSE")
    done = rig.run(command, paths[0], str(tmp_path / "none.json"), check=False)
    assert done.returncode == 1 and "none.json" in done.stderr


def test_the_usual_selection_has_every_value_of_every_axis():
    usual = wan_rows.selection("usual")
    for axis, values in (("rate", wan_rows.RATES), ("rtt", wan_rows.RTTS),
                         ("loss", wan_rows.LOSSES), ("size", wan_rows.SIZES),
                         ("flows", wan_rows.FLOWS), ("direction", wan_rows.DIRECTIONS)):
        assert {getattr(one, axis) for one in usual} >= set(values), axis
    assert len({one.name for one in usual}) == len(usual)
    assert {one.name for one in wan_rows.selection("full")} >= {one.name for one in usual}


def test_the_documents_take_a_run_and_then_another(tmp_path):
    if not shutil.which("gnuplot"):
        pytest.skip("no gnuplot")
    page = tmp_path / "benchmarks.md"
    shutil.copyfile(os.path.join(BENCH, "../../docs/benchmarks.md"), page)
    begin, end = "<!-- figures", "<!-- end of figures -->"
    around = [page.read_text().split(begin)[0], page.read_text().split(end)[1]]
    for rate in 20, 10:
        a_run(rate=rate).save(str(tmp_path / "run.json"))
        rig.run(os.path.join(BENCH, "document"), tmp_path / "run.json", tmp_path)
        text = page.read_text()
        assert [text.split(begin)[0], text.split(end)[1]] == around
        assert f"{rate / 30:.2f} | " in text
        assert "![wan-20mb](benchmarks/wan-20mb.svg)" in text
        assert {"wan-20mb.svg", "wan-20mb.png", "results.json"} <= set(
            os.listdir(tmp_path / "benchmarks"))
    assert f"{20 / 30:.2f} | " not in text
    page.write_text("no marks")
    done = rig.run(os.path.join(BENCH, "document"), tmp_path / "run.json", tmp_path, check=False)
    assert done.returncode == 1 and "have to be there" in done.stderr


# ---- a real run ----

def test_a_small_run_writes_figures_report_and_plots(tmp_path):
    missing = [name for name in ("gnuplot", "haproxy", "nft") if not shutil.which(name)]
    if missing:
        pytest.skip(f"no {' and no '.join(missing)}")
    out = str(tmp_path / "bench")
    done = subprocess.run(
        [os.path.join(BENCH, "run"), "--quick", "--rounds", "1", "--group", "wan", "--group",
         "gateway", "--group", "idle", "--scenario", "20 MB", "--scenario", "bulk", "--output", out, "--contender",
         "straight, CUBIC", "--contender", "sluice, linkrate + skip", "--contender", "forwarding",
         "--contender", "sluice, splice", "--idle", "200"],
        text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=110, check=False,
        env={**os.environ, "SLUICE_SANDBOX": "1", "SLUICE_BUILD": daemon.BUILD})
    assert done.returncode == 0, done.stdout
    with open(os.path.join(out, "results.json")) as text:
        run = json.load(text)
    assert {row["contender"] for row in run["rows"]} == {
        "straight, CUBIC", "sluice, linkrate + skip", "forwarding", "sluice, splice"}
    for name in "wan-20mb", "gateway-bulk":
        with open(os.path.join(out, f"{name}.png"), "rb") as picture:
            assert picture.read(8) == b"\x89PNG\r\n\x1a\n"
        with open(os.path.join(out, f"{name}.svg")) as picture:
            assert "sluice" in picture.read()
    with open(os.path.join(out, "report.md")) as text:
        said = text.read()
    assert "### Targets" in said
    assert "sluice, linkrate + skip at most 1.2 x the bound" in said

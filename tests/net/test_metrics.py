# SPDX-License-Identifier: GPL-2.0
"""The metrics server: what it says, to whom, and what it cannot do."""
import contextlib
import json
import os
import re
import signal
import socket

import pytest

import agent
from gateway import NOBODY, REPOSITORY, alive, serve
from metrics import PORT, Scrape, ask, metrics, status
from peer import carry
from rig import FAMILIES, IPV4, echo, resident_bytes, wait_for

pytestmark = pytest.mark.stealing

GRAFANA = os.path.join(REPOSITORY, "docs", "grafana", "sluice.json")


def server(gateway):
    """The metrics process, as `sluice show` has it."""
    return gateway.show("status")["metrics"]


def scrape_until(gateway, condition, what):
    """The first scrape that fulfils condition: figures are up to two seconds old."""
    last = []

    def holds():
        last[:] = [Scrape(gateway)]
        return condition(last[0])

    wait_for(holds, what)
    return last[0]


def remote(family, port):
    return {"remote": family.remote, "port": str(port)}


# ---- what it says ----

@pytest.mark.smoke
def test_promtool_finds_nothing_wrong(net, gateway):
    """With every kind of series there: flows of both families, ended ones, an agent's."""
    gateway.start(metrics() + agent.registrar() + agent.policy(gateway) + serve(5000))
    one = agent.Agent(gateway, IPV4).start(agent.service(5001), addresses=[IPV4.remote])
    for family in FAMILIES:
        near, far = net.connection(family, 5000)
        echo(near, far)
        near, far = net.connection(family, 5000)
        near.close()
        far.close()
    scrape = scrape_until(gateway, lambda now: now.sum("sluice_remote_flows_ended_total") == 2,
                          "two flows have ended")
    done = net.gateway.run("promtool", "check", "metrics", input=scrape.text, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    one.stop()


def test_every_family_has_help_and_a_type(gateway):
    gateway.start(metrics() + serve(5000))
    scrape = Scrape(gateway)
    told = {kind: re.findall(rf"^# {kind} (\w+) (.+)$", scrape.text, re.M)
            for kind in ("HELP", "TYPE")}
    names = [name for name, _ in told["TYPE"]]
    assert len(set(names)) == len(names)
    assert [name for name, _ in told["HELP"]] == names
    assert scrape.names() <= set(names)
    assert all(text.strip(" .") for _, text in told["HELP"])


@pytest.mark.engines
def test_the_figures_of_a_remote_are_right(net, gateway, family):
    """Bytes both ways to the byte, flows alive, begun and ended, and the WAN leg's state."""
    gateway.start(metrics() + serve(5000, flow_control="reno"))
    near, far = net.connection(family, 5000)
    carry(near, far, 3_000_000)
    carry(far, near, 1_234_567)
    where = remote(family, 5000)
    now = scrape_until(gateway, lambda now: now.sum("sluice_remote_bytes_total", **where)
                       == 4_234_567, "all bytes are counted")
    assert now.sum("sluice_remote_bytes_total", direction="up", **where) == 3_000_000
    assert now.sum("sluice_bytes_total", direction="down") == 1_234_567
    assert now.value("sluice_remote_flows_alive", **where) == 1
    assert now.value("sluice_remote_flows_begun_total", **where) == 1
    assert now.value("sluice_remote_wan_legs", **where) == 1
    assert now.value("sluice_remote_wan_subflows", **where) == 1
    flow = gateway.flow_of(near)
    assert now.value("sluice_flows", state="open", engine=flow["engine"]) == 1
    assert now.sum("sluice_flows") == 1
    for kind in "wan_rtt_{}_seconds", "wan_cwnd_{}_segments":
        least, mean, most = (now.value("sluice_remote_" + kind.format(which), **where)
                             for which in ("min", "mean", "max"))
        assert 0 < least == mean == most, "there is but one leg"
        assert now.value("sluice_" + kind.format("mean")) == mean
    near.close()
    far.close()
    end = scrape_until(gateway, lambda now: now.value("sluice_remote_flows_alive", **where) == 0
                       and not now.sum("sluice_flows"), "the flow has ended")
    assert end.value("sluice_remote_flows_ended_total", end="closed", **where) == 1
    assert end.sum("sluice_remote_bytes_total", **where) == 4_234_567
    assert end.value("sluice_remote_wan_rtt_mean_seconds", **where) is None
    assert end.value("sluice_remote_wan_legs", **where) == 0


@pytest.mark.engines
def test_bytes_of_a_flow_that_nobody_saw_live_are_counted(net, gateway):
    """It came and went between two samples."""
    gateway.start(metrics() + serve(5000))
    for _ in range(20):
        near, far = net.connection(IPV4, 5000)
        echo(near, far, b"x" * 1000)
        near.close()
        far.close()
    scrape_until(gateway, lambda now: (
        now.value("sluice_flows_ended_total", end="closed"),
        now.sum("sluice_remote_bytes_total", **remote(IPV4, 5000))) == (20, 20 * 2 * 1000),
        "all flows have ended, with all their bytes")


def test_each_way_to_end_is_counted_at_its_remote(net, gateway):
    gateway.start(metrics() + serve(5000, 5001) + serve(5000, address=IPV4.unreachable))
    with pytest.raises(ConnectionRefusedError):
        net.client.connect(IPV4, IPV4.remote, 5001)
    with pytest.raises(OSError):
        net.client.connect(IPV4, IPV4.unreachable, 5000)
    near, far = net.connection(IPV4, 5000)
    echo(near, far)
    near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    near.close()
    wanted = {"refused": remote(IPV4, 5001), "client-reset": remote(IPV4, 5000),
              "unreachable": {"remote": IPV4.unreachable, "port": "5000"}}
    # figures of one scrape are of a moment each
    now = scrape_until(gateway, lambda now: now.sum("sluice_remote_flows_ended_total") == 3 and
                       all(now.value("sluice_flows_ended_total", end=end) == 1 for end in wanted),
                       "three flows have ended")
    for end, where in wanted.items():
        assert now.value("sluice_remote_flows_ended_total", end=end, **where) == 1
    assert now.value("sluice_flows_ended_total", end="idle") == 0


def test_the_counters_are_those_of_sluice_show(net, gateway):
    gateway.start(metrics() + serve(5000))
    near, far = net.connection(IPV4, 5000)
    echo(near, far)
    near.close()
    far.close()
    wait_for(lambda: not gateway.flows(), "the flow has ended")
    now, shown = Scrape(gateway), gateway.show("counters")
    for part, counters in shown.items():
        for name in counters:
            assert now.value(f"sluice_{part}_{name}_total") is not None, name
    for name in "joined", "closed", "bytes_up":
        assert now.value(f"sluice_relay_{name}_total") == shown["relay"][name]
    assert now.value("sluice_intercept_syn_held_total") == 1


def test_an_agents_remote_has_its_identity(net, gateway, family):
    gateway.start(metrics() + agent.registrar() + agent.policy(gateway, name="site-b"))
    one = agent.Agent(gateway, family, identity="site-b").start(agent.service(5000),
                                                                addresses=[family.remote])
    agent.wait_registered(gateway, family.remote, 5000)
    near, far = net.connection(family, 5000)
    echo(near, far)
    now = scrape_until(gateway, lambda now: now.sum("sluice_remote_bytes_total"), "bytes")
    assert now.value("sluice_remote_flows_alive", identity="site-b", **remote(family, 5000)) == 1
    assert now.value("sluice_registered_services") == 1
    one.stop()


def test_a_new_entry_does_not_inherit_the_figures_of_an_old_one(net, gateway):
    """Numbers of entries are used again."""
    gateway.start(metrics() + serve(5000, address=IPV4.remote))
    near, far = net.connection(IPV4, 5000)
    echo(near, far)
    near.close()
    far.close()
    scrape_until(gateway, lambda now: now.sum("sluice_remote_flows_ended_total") == 1, "it ended")
    gateway.sluice("del", IPV4.remote)
    scrape_until(gateway, lambda now: not [name for name in now.names()
                                           if name.startswith("sluice_remote_")], "it is gone")
    gateway.sluice("add", IPV4.remote, "5009")
    near, far = net.connection(IPV4, 5009)
    echo(near, far)
    now = scrape_until(gateway, lambda now: now.sum("sluice_remote_bytes_total") > 0 and
                       now.sum("sluice_bytes_total") == 2 * now.sum("sluice_remote_bytes_total"),
                       "bytes, and as many as before")
    assert now.value("sluice_remote_flows_begun_total", **remote(IPV4, 5009)) == 1
    assert now.sum("sluice_remote_flows_ended_total", **remote(IPV4, 5009)) == 0


def test_a_relays_death_takes_its_flows_and_no_totals(net, gateway):
    gateway.start(metrics() + serve(5000), workers=1)
    near, far = net.connection(IPV4, 5000)
    carry(near, far, 100_000)
    scrape_until(gateway, lambda now: now.sum("sluice_bytes_total") == 100_000, "bytes")
    os.kill(gateway.relays()[0], signal.SIGKILL)
    now = scrape_until(gateway, lambda now: now.value("sluice_process_restarts_total",
                                                      process="relay", index="0") == 1,
                       "the relay is started again")
    assert now.value("sluice_flows_alive") == 0
    assert now.sum("sluice_flows") == 0
    assert now.sum("sluice_bytes_total") == 100_000
    wait_for(lambda: gateway.show("status")["relays"][0]["state"] == "serving", "a new relay")
    fresh, remote_end = net.connection(IPV4, 5000)
    carry(fresh, remote_end, 5000)
    scrape_until(gateway, lambda now: now.sum("sluice_bytes_total") == 105_000, "bytes")


def test_tables_limits_processes_and_interfaces(gateway):
    gateway.start(metrics() + serve(5000, 5001, address=IPV4.remote), max_proxies=55,
                  max_ports=77, half_open=99)
    now = Scrape(gateway)
    for table, entries, limit in ("proxies", 1, 55), ("ports", 2, 77), ("half_open", 0, 99):
        assert now.value("sluice_table_entries", table=table) == entries
        assert now.value("sluice_table_entries_limit", table=table) == limit
    for process in "main", "relay", "metrics":
        where = {"process": process, "index": "0"}
        assert now.value("sluice_process_serving", **where) == 1
        assert now.value("sluice_process_resident_memory_bytes", **where) > 100_000
        assert now.value("sluice_process_cpu_seconds_total", **where) >= 0
    assert now.value("sluice_process_serving", process="registrar") is None
    assert now.value("sluice_process_flows_limit", process="relay", index="1") > 100
    assert now.value("sluice_interface_attached", dev="lan0", side="lan") == 1
    assert now.value("sluice_state", state="running") == 1
    gateway.sluice("drain")
    wait_for(lambda: Scrape(gateway).value("sluice_state", state="draining") == 1, "it drains")


def test_the_json_of_the_page_says_the_same(net, gateway, family):
    gateway.start(metrics() + serve(5000))
    near, far = net.connection(family, 5000)
    carry(near, far, 50_000)
    scrape_until(gateway, lambda now: now.sum("sluice_bytes_total") == 50_000, "bytes")
    told = status(gateway)
    assert [(one["address"], one["port"], one["bytes"]["up"], one["flows"])
            for one in told["remotes"]] == [(family.remote, 5000, 50_000, 1)]
    assert told["all"]["bytes"]["up"] == 50_000
    assert told["states"]["open"] == 1
    assert sum(told["engines"].values()) == 1
    assert told["all"]["wan"]["rtt_us"]["mean"] > 0


def test_grafanas_dashboard_asks_for_what_there_is(gateway):
    """Every metric, and every label by which it sums, exists."""
    gateway.start(metrics() + serve(5000))
    text = Scrape(gateway).text
    names = set(re.findall(r"^# TYPE (\w+)", text, re.M))
    with open(GRAFANA) as file:
        dashboard = json.load(file)
    queries = [target["expr"] for panel in dashboard["panels"]
               for target in panel.get("targets", [])]
    queries += [one["query"]["query"] for one in dashboard["templating"]["list"]
                if one["type"] == "query"]
    assert len(queries) > 10
    rules = []
    for query in queries:
        used = set(re.findall(r"\bsluice_\w+", query))
        assert used and used <= names, f"{used - names or 'nothing'} of {query}"
        if not query.startswith("label_values"):
            plain = re.sub(r"\$(instance|remote)", "x", query).replace("$__rate_interval", "1m")
            rules.append({"record": f"one:{len(rules)}", "expr": plain})
    # Prometheus's own parser takes them, as rules: YAML, of which JSON is a part
    path = os.path.join(gateway.directory, "rules.yml")
    with open(path, "w") as file:
        json.dump({"groups": [{"name": "dashboard", "rules": rules}]}, file)
    done = gateway.namespace.run("promtool", "check", "rules", path, check=False)
    assert done.returncode == 0 and f"{len(rules)} rules found" in done.stdout, \
        done.stdout + done.stderr


# ---- to whom, and how ----

def test_without_the_section_there_is_none(gateway):
    gateway.start(serve(5000))
    assert server(gateway)["state"] == "off"
    with pytest.raises(ConnectionRefusedError):
        ask(gateway)


@pytest.mark.parametrize("path", ["/", "/metrics", "/status.json", "/nothing"])
def test_answers_are_not_to_be_kept_guessed_at_or_framed(gateway, path):
    gateway.start(metrics())
    answer = ask(gateway, path)
    assert answer.status == (404 if path == "/nothing" else 200)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "access-control-allow-origin" not in answer.headers
    head = ask(gateway, path, method="HEAD")
    assert (head.status, head.text) == (answer.status, "")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "NONSENSE"])
def test_nothing_can_be_changed(gateway, method):
    gateway.start(metrics())
    answer = ask(gateway, "/metrics", method=method)
    assert answer.status == 405
    assert answer.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize("host, status_code", [
    ("localhost", 200), ("localhost:9999", 200), ("127.0.0.1:7472", 200), ("[::1]:80", 200),
    ("example.com", 403), ("localhost.example.com:7472", 403), ("10.9.0.1", 403),
    ("127.0.0.1.example.com", 403), ("[::1].example.com", 403), ("", 403), ("[", 403),
], ids=lambda value: str(value) or "empty")
def test_a_browser_that_was_led_here_by_another_name_is_refused(gateway, host, status_code):
    """DNS rebinding: a page of another site whose name now has the address 127.0.0.1."""
    gateway.start(metrics())
    assert ask(gateway, headers={"Host": host}).status == status_code


def test_others_are_served_only_when_told_so(net, gateway, family):
    gateway.start(metrics(family.at(family.lan, PORT), public=True))
    where = {"namespace": net.client, "address": family.lan}
    assert ask(gateway, **where).status == 200
    assert ask(gateway, headers={"Host": "gateway.example.com"}, **where).status == 200
    gateway.configure(metrics(family.at(family.lan, PORT)))
    done = gateway.sluice("reload", check=False)
    assert done.returncode == 1
    assert re.search(rf"{re.escape(gateway.config)}:\d+: .*public = true", gateway.output())
    assert ask(gateway, **where).status == 200, "a refused reload has changed something"


def test_an_address_in_use_is_said_at_the_start(net, gateway):
    net.gateway.listen(IPV4, "127.0.0.1", PORT)
    gateway.configure(metrics())
    done = gateway.try_start()
    assert done.returncode == 1
    assert f"127.0.0.1:{PORT}" in done.stderr
    gateway.assert_nothing_left()


# ---- reloading ----

def test_reload_moves_it_and_loses_nothing(net, gateway):
    gateway.start(metrics() + serve(5000))
    near, far = net.connection(IPV4, 5000)
    carry(near, far, 10_000)
    scrape_until(gateway, lambda now: now.sum("sluice_bytes_total") == 10_000, "bytes")
    pid = server(gateway)["pid"]
    gateway.sluice("reload")
    assert server(gateway)["pid"] == pid, "nothing has changed, and it was restarted"
    gateway.configure(metrics(f"127.0.0.1:{PORT + 1}") + serve(5000))
    gateway.sluice("reload")
    now = Scrape(gateway, port=PORT + 1)
    assert now.sum("sluice_bytes_total") == 10_000
    assert now.value("sluice_flows_alive") == 1
    with pytest.raises(ConnectionRefusedError):
        ask(gateway)
    gateway.configure(serve(5000))
    gateway.sluice("reload")
    assert server(gateway)["state"] == "off"
    with pytest.raises(ConnectionRefusedError):
        ask(gateway, port=PORT + 1)
    gateway.configure(metrics() + serve(5000))
    gateway.sluice("reload")
    carry(near, far, 5000)
    scrape_until(gateway, lambda now: now.sum("sluice_bytes_total") == 15_000, "bytes")


def test_reload_widens_and_narrows_where_it_listens(gateway):
    """The same port, so the old socket is in the way of the new one."""
    gateway.start(metrics() + serve(5000))
    for section in metrics(f"0.0.0.0:{PORT}", public=True), metrics(f"[::]:{PORT}", public=True), \
            metrics():
        gateway.configure(section + serve(5000))
        gateway.sluice("reload")
        assert ask(gateway).status == 200
    listening = gateway.namespace.run("ss", "-Hltn", f"sport = :{PORT}").stdout.splitlines()
    assert len(listening) == 1 and f"127.0.0.1:{PORT}" in listening[0]


def test_reload_to_an_address_in_use_keeps_the_old_one(net, gateway):
    gateway.start(metrics() + serve(5000))
    net.gateway.listen(IPV4, "127.0.0.1", PORT + 1)
    gateway.configure(metrics(f"127.0.0.1:{PORT + 1}") + serve(5000))
    done = gateway.sluice("reload", check=False)
    assert done.returncode == 1
    assert f"127.0.0.1:{PORT + 1}" in done.stderr
    assert ask(gateway).status == 200


# ---- what it cannot do ----

def read_status(pid):
    with open(f"/proc/{pid}/status") as text:
        return dict(line.rstrip("\n").split(":\t", 1) for line in text if ":\t" in line)


def test_the_metrics_process_is_shut_in(gateway):
    gateway.start(metrics() + serve(5000))
    wait_for(lambda: server(gateway)["state"] == "serving", "metrics serve")
    pid = server(gateway)["pid"]
    told = read_status(pid)
    for sets in "CapInh", "CapPrm", "CapEff", "CapAmb":
        assert int(told[sets], 16) == 0, sets
    assert told["Uid"].split() == [told["Uid"].split()[0]] * 4
    assert int(told["Uid"].split()[0]) != 0
    assert told["Groups"].strip() == ""
    assert told["NoNewPrivs"] == "1"
    assert told["Seccomp"] == "2"
    assert os.listdir(f"/proc/{pid}/root") == []
    with open(f"/proc/{pid}/maps") as maps:
        shared = [line for line in maps if line.split()[1] == "rw-s"]
    assert not shared, "it can write what main reads"
    with open(f"/proc/{pid}/limits") as limits:
        text = limits.read()
    assert re.search(r"Max processes +0 +0 ", text)
    # its channel, its listener, libmicrohttpd's and its own epoll, eventfd; and no map or link
    kinds = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
    assert not [kind for kind in kinds if "bpf" in kind]


def test_a_killed_metrics_process_comes_back_and_flows_go_on(net, gateway):
    gateway.start(metrics() + serve(5000))
    near, far = net.connection(IPV4, 5000)
    carry(near, far, 10_000)
    scrape_until(gateway, lambda now: now.sum("sluice_bytes_total") == 10_000, "bytes")
    pid = server(gateway)["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: server(gateway)["state"] == "serving" and server(gateway)["pid"] != pid,
             "it is started again")
    now = Scrape(gateway)
    assert now.sum("sluice_bytes_total") == 10_000
    assert now.value("sluice_process_restarts_total", process="metrics") == 1
    echo(near, far)


def test_it_ends_with_main(gateway):
    gateway.start(metrics())
    pid = server(gateway)["pid"]
    gateway.kill()
    wait_for(lambda: not alive(pid), "the metrics process ends with main")


# ---- strangers ----

def raw(gateway, request):
    """Everything that is answered to these bytes."""
    sock = gateway.namespace.connect(IPV4, "127.0.0.1", PORT)
    with contextlib.suppress(ConnectionError):
        sock.sendall(request)
        return b"".join(iter(lambda: sock.recv(65536), b""))
    return b""


NONSENSE = {
    "nothing": b"\r\n\r\n\r\n",
    "binary": bytes(range(256)) * 64,
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(508),
    "long-url": b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "long-header": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 1_000_000 + b"\r\n\r\n",
    "many-headers": b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"A: b\r\n" * 100_000 + b"\r\n",
    "no-host": b"GET / HTTP/1.1\r\n\r\n",
    "body": b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 9,
    "chunked": b"GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\nx",
    "walk": b"GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
}


@pytest.mark.parametrize("request_bytes", NONSENSE.values(), ids=NONSENSE)
def test_nonsense_is_refused_and_others_are_served(gateway, request_bytes):
    gateway.start(metrics())
    wait_for(lambda: server(gateway)["state"] == "serving", "metrics serve")
    pid = server(gateway)["pid"]
    answer = raw(gateway, request_bytes)
    assert not answer or re.match(rb"HTTP/1\.[01] 4\d\d ", answer), answer[:200]
    assert ask(gateway).status == 200
    assert server(gateway)["pid"] == pid, "it was restarted"


def test_who_says_nothing_is_closed_and_keeps_no_other_address_out(gateway):
    """Connections that send nothing, more than there may be; memory stays bounded."""
    gateway.start(metrics("0.0.0.0:7472", public=True))
    wait_for(lambda: server(gateway)["state"] == "serving", "metrics serve")
    pid = server(gateway)["pid"]
    before = resident_bytes(pid)
    silent = [gateway.namespace.connect(IPV4, "127.0.0.1", PORT) for _ in range(200)]
    for sock in silent[:50]:
        with contextlib.suppress(OSError):
            sock.send(b"GET / HTTP/1.1\r\n")
    assert ask(gateway, address=IPV4.wan).status == 200, "kept out by another address"
    assert resident_bytes(pid) < before + (8 << 20)
    for sock in silent:
        with contextlib.suppress(ConnectionError):
            while sock.recv(4096):
                pass
    assert ask(gateway).status == 200
    assert server(gateway)["pid"] == pid


def test_a_gateway_that_hangs_is_said_to(gateway):
    """main is stopped: who asks hears it, and is answered when main goes on."""
    gateway.start(metrics())
    assert ask(gateway).status == 200
    wait_for(lambda: ask(gateway, "/status.json").status == 200, "status")
    gateway.signal(signal.SIGSTOP)
    try:
        wait_for(lambda: ask(gateway).status == 503, "main does not answer")
        assert ask(gateway, "/").status == 200, "the page needs no snapshot"
    finally:
        gateway.signal(signal.SIGCONT)
    wait_for(lambda: ask(gateway).status == 200, "main answers again")


def test_another_user_can_ask(net, gateway):
    """The figures of a loopback address are for every user of the host; documented so."""
    gateway.start(metrics())
    done = net.gateway.run("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
                           "curl", "-sf", f"http://127.0.0.1:{PORT}/metrics")
    assert "sluice_build_info" in done.stdout

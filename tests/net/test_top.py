# SPDX-License-Identifier: GPL-2.0
"""sluice top: what is on the screen, on a terminal (tmux) and as text."""
import contextlib
import json
import os
import re
import socket

import pytest

from gateway import SLUICE, serve
from peer import Server, Task, carry, endless_handler
from rig import IPV4, echo, run, wait_for

pytestmark = pytest.mark.stealing


class Screen:
    """`sluice top` on a terminal of so many columns and lines."""

    def __init__(self, gateway, *argv, columns=200, lines=24):
        self.gateway = gateway
        self.tmux = ["tmux", "-f", "/dev/null", "-S", os.path.join(gateway.directory, "tmux")]
        command = gateway.namespace.command(SLUICE, "--run-dir", gateway.run_dir, "top", *argv)
        run(*self.tmux, "new-session", "-d", "-x", columns, "-y", lines,
            " ".join(command) + f"; echo exit $? >{gateway.directory}/exit",
            env={**os.environ, "TERM": "xterm"})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        run(*self.tmux, "kill-server", check=False)

    def text(self):
        return run(*self.tmux, "capture-pane", "-p", check=False).stdout

    def lines(self):
        return self.text().splitlines()

    def keys(self, *keys):
        run(*self.tmux, "send-keys", *keys)

    def resize(self, columns, lines):
        run(*self.tmux, "resize-window", "-x", columns, "-y", lines)

    def until(self, condition, what):
        try:
            wait_for(lambda: condition(self.text()), what, 20)
        except AssertionError:
            raise AssertionError(f"{what}: the screen is\n{self.text()}") from None

    def ended(self):
        """The exit status, once it has ended."""
        def status():
            with contextlib.suppress(OSError), open(f"{self.gateway.directory}/exit") as text:
                return text.read().split()
            return None
        return int(wait_for(status, "it ends")[1])


def clients(text):
    """The clients of the rows, in their order."""
    return re.findall(r"^ *\d+ (\S+:\d+)", text, re.M)


def name_of(sock):
    name = sock.getsockname()
    return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"


def test_a_row_for_each_flow_with_both_legs(net, gateway, family):
    gateway.start(serve(5000, flow_control="reno"))
    near, far = net.connection(family, 5000)
    echo(near, far)
    flow = gateway.flow_of(near)
    client = name_of(near)
    with Screen(gateway, "-d", "0.2") as screen:
        screen.until(lambda text: client in text, "the flow is shown")
        row = next(line for line in screen.lines() if client in line)
        assert row.split()[:3] == [str(flow["id"]), client, flow["remote"]]
        for word in "reno", flow["engine"], "open":
            assert word in row, row
        assert "1 flows" in screen.lines()[0]
        near.close()
        far.close()
        screen.until(lambda text: "0 flows" in text and client not in text, "it is gone")
        screen.keys("q")
        assert screen.ended() == 0


def read_on(sock):
    """Until the other side has ended it, or this one has been shut down."""
    while sock.recv(1 << 16):
        pass


def test_rates_are_those_of_the_traffic(net, gateway):
    """The sender's bytes in the time that they took, give or take a factor of two."""
    gateway.start(serve(5000))
    listener = net.remote.listen(IPV4, IPV4.remote, 5000)
    with Server(listener, endless_handler):
        near = net.client.connect(IPV4, IPV4.remote, 5000)
        task = Task(read_on, near)
        process = gateway.namespace.spawn(SLUICE, "--run-dir", gateway.run_dir, "top", "-b", "-j",
                                          "-d", "0.5", "-n", "4")
        before = None
        rates = []
        process.wait(30)
        for line in process.output().splitlines():
            flow, = json.loads(line)["flows"]
            if before:
                rates.append((flow["down_bps"],
                              8 * (flow["down"]["bytes"] - before["down"]["bytes"])
                              / (flow["age_s"] - before["age_s"])))
            before = flow
        near.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            task.result()
        near.close()
    assert len(rates) == 3
    for told, real in rates:
        assert real / 2 < told < real * 2, rates


def test_the_busiest_flow_is_on_top_and_sorting_can_be_changed(net, gateway):
    gateway.start(serve(5000))
    flows = [net.connection(IPV4, 5000) for _ in range(3)]
    for (near, far), size in zip(flows, (10_000, 3_000_000, 300_000)):
        carry(near, far, size)
    names = [name_of(near) for near, _ in flows]
    text = gateway.sluice("top", "-b", "-n", 1).stdout
    assert clients(text)[0] == names[1], text
    with Screen(gateway, "-s", "id", "-d", "0.2") as screen:
        screen.until(lambda text: len(clients(text)) == 3, "all are shown")
        order = clients(screen.text())
        screen.keys("r")
        screen.until(lambda text: clients(text) == order[::-1], "the order is reversed")
        screen.keys(">")
        screen.until(lambda text: "sort client reversed" in text and
                     clients(text) == sorted(names, reverse=True), "another column")


def test_a_filter_is_typed(net, gateway):
    gateway.start(serve(5000, 5001))
    one, _ = net.connection(IPV4, 5000)
    other, _ = net.connection(IPV4, 5001)
    with Screen(gateway, "-d", "0.2") as screen:
        screen.until(lambda text: len(clients(text)) == 2, "both are shown")
        screen.keys("/", ":", "5", "0", "0", "1", "Enter")
        screen.until(lambda text: clients(text) == [name_of(other)], "one is left")
        assert "1 shown" in screen.text() and "2 flows" in screen.text()
        screen.keys("/", "Escape")
        screen.until(lambda text: len(clients(text)) == 2, "both again")


def test_one_flow_in_detail_and_back(net, gateway, family):
    gateway.start(serve(5000))
    near, far = net.connection(family, 5000)
    carry(near, far, 2 << 20)
    with Screen(gateway, "-d", "0.2", columns=80) as screen:
        screen.until(lambda text: "1 shown" in text, "the flow is shown")
        screen.keys("Enter")
        screen.until(lambda text: "DIRECTION" in text and "LEG" in text, "the detail")
        assert name_of(near) in screen.text()
        up = next(line for line in screen.lines() if line.startswith("up "))
        assert "2.0M" in up.replace("2.00M", "2.0M"), up
        near.close()
        far.close()
        screen.until(lambda text: "this flow has ended" in text, "its end is said")
        screen.keys("q")
        screen.until(lambda text: "0 shown" in text, "back to the rows")
        screen.keys("q")
        assert screen.ended() == 0


def test_many_flows_are_scrolled(net, gateway):
    gateway.start(serve(5000))
    with net.remote.listen(IPV4, IPV4.remote, 5000) as listener:
        for _ in range(50):
            net.client.connect(IPV4, IPV4.remote, 5000)
            net.remote.sockets.append(listener.accept()[0])
    with Screen(gateway, "-s", "id", "-d", "0.2", lines=14) as screen:
        screen.until(lambda text: len(clients(text)) == 10, "ten rows fit")
        top = clients(screen.text())
        screen.keys("End")
        screen.until(lambda text: len(clients(text)) == 10 and
                     not set(clients(text)) & set(top), "the last ten")
        screen.keys("Home")
        screen.until(lambda text: clients(text) == top, "the first ten again")


def test_the_terminal_changes_its_size(net, gateway):
    gateway.start(serve(5000))
    near, _ = net.connection(IPV4, 5000)
    with Screen(gateway, "-d", "0.2", columns=80, lines=10) as screen:
        screen.until(lambda text: name_of(near) in text and "IDENTITY" not in text, "the left part")
        screen.resize(220, 40)
        screen.until(lambda text: "IDENTITY" in text and
                     text.rstrip("\n").splitlines()[-1].startswith("q quit"), "all columns")
        screen.resize(20, 3)
        screen.until(lambda text: len(text.rstrip("\n").splitlines()) <= 3, "hardly anything")
        screen.resize(200, 24)
        screen.until(lambda text: name_of(near) in text, "the flow again")


def test_a_daemon_that_goes_away_is_said(net, gateway):
    gateway.start(serve(5000))
    with Screen(gateway, "-d", "0.2") as screen:
        screen.until(lambda text: "0 flows" in text, "it is there")
        gateway.expect_exit = True
        assert gateway.stop() == 0
        screen.until(lambda text: "cannot reach sluiced" in text, "it says so")
        screen.keys("q")
        assert screen.ended() == 0


def test_text_for_scripts(net, gateway, family):
    gateway.start(serve(5000))
    near, far = net.connection(family, 5000)
    echo(near, far)
    done = gateway.sluice("top", "-b", "-n", 2, "-d", "0.1")
    screens = done.stdout.strip().split("\n\n")
    assert len(screens) == 2
    for screen in screens:
        assert screen.splitlines()[0].startswith("sluice top: running")
        assert name_of(near) in screen
    nothing = gateway.sluice("top", "-b", "-n", 1, "-f", "no such text").stdout
    assert name_of(near) not in nothing


def test_without_a_terminal_it_says_what_to_do(gateway):
    gateway.start(serve(5000))
    done = gateway.sluice("top", check=False)
    assert done.returncode == 1 and "-b" in done.stderr


@pytest.mark.parametrize("argv", [["-n", "3"], ["-b", "-n", "0"], ["-b", "-d", "0"], ["-j"],
                                  ["-b", "-s", "colour"], ["stray"]], ids=" ".join)
def test_wrong_usage(gateway, argv):
    gateway.start(serve(5000))
    assert gateway.sluice("top", *argv, check=False).returncode == 2

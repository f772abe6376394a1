# SPDX-License-Identifier: GPL-2.0
"""The status page in a real browser, with real flows."""
import contextlib
import socket

import pytest

import agent
import browser
from gateway import serve
from metrics import PORT, metrics
from peer import Server, Task, endless_handler
from rig import FAMILIES, IPV4, echo, reset

pytestmark = [pytest.mark.stealing,
              pytest.mark.skipif(browser.missing() is not None, reason=str(browser.missing()))]

URL = f"http://127.0.0.1:{PORT}/"
SCREENS = {"desktop": (1280, 900), "phone": (360, 740)}
ROWS = "[...document.querySelectorAll('#{} tbody tr')].map((row) => row.innerText)"


@pytest.fixture
def page(net, gateway):
    """A browser in the gateway's namespace; what it shows may not have an error."""
    with browser.Browser(net.gateway) as one:
        one.look(*SCREENS["desktop"])
        yield one
        assert not one.told("Runtime.exceptionThrown")
        asked = {request["request"]["url"] for request in one.told("Network.requestWillBeSent")}
        outside = {url for url in asked if not url.startswith((URL, "data:", "about:"))}
        assert not outside, f"the page asks others: {outside}"
        refused = [entry for entry in one.told("Log.entryAdded")
                   if "Content Security Policy" in entry["entry"]["text"]]
        assert not refused, "its own policy forbids what it does"


def download(net, family, port=5000):
    """A download that goes on until the test ends; (client's socket, server)."""
    server = Server(net.remote.listen(family, family.remote, port), endless_handler)
    near = net.client.connect(family, family.remote, port)
    near.settimeout(None)
    return near, server


def read_on(near):
    """Takes what comes, slowly enough for others to have a turn."""
    with contextlib.suppress(OSError):
        while near.recv(1 << 16):
            pass


@pytest.mark.smoke
def test_live_figures_of_flows_are_shown(net, gateway, page):
    """Tables and plots: a download of each family, one flow that was closed, one refused."""
    gateway.start(metrics() + serve(5000, 5001))
    page.open(URL)
    servers, tasks = [], []
    try:
        for family in FAMILIES:
            near, server = download(net, family)
            servers.append((near, server))
            tasks.append(Task(read_on, near))
        near, far = net.connection(IPV4, 5001)
        echo(near, far)
        near.close()
        far.close()
        with pytest.raises(ConnectionRefusedError):
            net.client.connect(IPV4, IPV4.remote, 5001)
        page.wait("document.getElementById('state').textContent == 'running'")
        for family in FAMILIES:
            name = family.at(family.remote, 5000)
            page.wait(f"{ROWS.format('remotes')}.some((row) => row.includes('{name}') && "
                      "/[MG]bit/.test(row))")
        for outcome in "closed", "refused":
            page.wait(f"{ROWS.format('outcomes')}.some((row) => row.startsWith('{outcome}'))")
        page.wait("document.querySelectorAll('#plots figure').length == 6")
        # each plot has something drawn, and says in words what
        page.wait("[...document.querySelectorAll('#plots svg')].every((svg) => "
                  "svg.querySelector('path') && svg.getAttribute('aria-label').length > 20)")
        assert page.evaluate("document.querySelector('#plots svg').getAttribute('aria-label')"
                             ).count("bit/s") >= 4
        for table in "room", "processes", "interfaces", "counters":
            assert page.evaluate(f"{ROWS.format(table)}.length") >= 2, table
    finally:
        for near, server in servers:
            near.shutdown(socket.SHUT_RDWR)
            reset(near)
            server.__exit__()
        for task in tasks:
            task.result()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("screen", SCREENS)
def test_it_can_be_read(net, gateway, page, screen, dark):
    """Nothing is wider than the screen, all text stands out from its ground (WCAG AA)."""
    gateway.start(metrics() + serve(5000))
    near, far = net.connection(FAMILIES[1], 5000)
    echo(near, far)
    page.look(*SCREENS[screen], dark=dark, mobile=screen == "phone")
    page.open(URL)
    page.wait(f"{ROWS.format('remotes')}.some((row) => row.includes(':5000'))")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    worst = page.evaluate("""(() => {
        const light = (color) => {
            const parts = color.match(/[\\d.]+/g).map(Number).slice(0, 3).map((part) => {
                part /= 255;
                return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
            });
            return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
        };
        const ground = (node) => {
            for (; node; node = node.parentElement) {
                const color = getComputedStyle(node).backgroundColor;
                if (!color.endsWith(", 0)"))
                    return color;
            }
            return "rgb(255, 255, 255)";
        };
        const contrast = (node) => {
            const style = getComputedStyle(node);
            const text = light(node.namespaceURI.endsWith("svg") ? style.fill : style.color);
            const behind = light(ground(node.closest("svg") ? node.closest("svg").parentElement : node));
            return (Math.max(text, behind) + 0.05) / (Math.min(text, behind) + 0.05);
        };
        return [...document.querySelectorAll("h1,h2,p,small,a,th,td,dt,dd,button,figcaption,li,text")]
            .filter((node) => node.textContent.trim())
            .map((node) => [contrast(node), node.textContent.trim().slice(0, 30)])
            .sort((a, b) => a[0] - b[0])[0];
    })()""")
    assert worst[0] >= 4.5, f"too little contrast: {worst}"
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, ground.strip("rgb()").split(","))) < 384) == dark


def test_it_can_be_used_without_seeing_or_a_mouse(gateway, page):
    """What a screen reader and a keyboard need."""
    gateway.start(metrics() + serve(5000))
    page.open(URL)
    page.wait(f"{ROWS.format('processes')}.length >= 3")
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.evaluate("document.title")
    assert page.evaluate("document.querySelectorAll('h1').length") == 1
    assert page.evaluate("[...document.querySelectorAll('table')].every((table) => "
                         "table.caption && table.querySelector('th[scope=col]'))")
    assert page.evaluate("[...document.querySelectorAll('svg')].every((svg) => "
                         "svg.getAttribute('role') == 'img' && svg.getAttribute('aria-label'))")
    assert page.evaluate("[...document.querySelectorAll('button')].every((button) => "
                         "button.textContent.trim())")
    assert page.evaluate("document.getElementById('state').getAttribute('role')") == "status"


def test_remotes_are_sorted_by_the_column_that_is_pressed(net, gateway, page):
    gateway.start(metrics() + serve(5000, 5001, 5002, address=IPV4.remote))
    for port, flows in (5000, 1), (5001, 3), (5002, 2):
        with net.remote.listen(IPV4, IPV4.remote, port) as listener:
            for _ in range(flows):
                net.client.connect(IPV4, IPV4.remote, port)
                net.remote.sockets.append(listener.accept()[0])
    page.open(URL)
    page.wait(f"{ROWS.format('remotes')}.length == 3 && "
              f"{ROWS.format('remotes')}.some((row) => row.includes('3 begun'))")
    ports = (f"{ROWS.format('remotes')}.map((row) => Number(row.match(/:(\\d+)/)[1])).join()")
    press = ("[...document.querySelectorAll('#remotes th button')]"
             ".find((button) => button.textContent == '{}').click()")
    for title, order, sort in (("Flows", "5001,5002,5000", "descending"),
                               ("Flows", "5000,5002,5001", "ascending"),
                               ("Remote", "5000,5001,5002", "ascending")):
        page.evaluate(press.format(title))
        assert page.evaluate(ports) == order
        assert page.evaluate("document.querySelector('#remotes th[aria-sort]')"
                             f".textContent == '{title}' && document.querySelector("
                             f"'#remotes th[aria-sort]').getAttribute('aria-sort') == '{sort}'")


def test_pause_stops_asking(gateway, page):
    gateway.start(metrics() + serve(5000))
    page.open(URL)
    page.wait("past.points.length >= 2")
    page.evaluate("document.getElementById('pause').click()")
    assert page.evaluate("document.getElementById('pause').getAttribute('aria-pressed')") == "true"
    page.evaluate("new Promise((done) => setTimeout(done, POLL_MS / 2))")  # one may be under way
    seen = page.evaluate("past.points.length")
    page.evaluate("new Promise((done) => setTimeout(done, 2 * POLL_MS))")
    assert page.evaluate("past.points.length") == seen
    page.evaluate("document.getElementById('pause').click()")
    page.wait(f"past.points.length > {seen}")


def test_what_others_are_called_is_text(net, gateway, page):
    """An identity may look like markup."""
    name = "<i>site&amp;"
    gateway.start(metrics() + agent.registrar() + agent.policy(gateway, name=name))
    one = agent.Agent(gateway, IPV4, identity=name).start(agent.service(5000),
                                                          addresses=[IPV4.remote])
    agent.wait_registered(gateway, IPV4.remote, 5000)
    near, far = net.connection(IPV4, 5000)
    echo(near, far)
    page.open(URL)
    page.wait(f"{ROWS.format('remotes')}.some((row) => row.includes('{name}'))")
    assert page.evaluate("document.querySelectorAll('#remotes i').length") == 0
    one.stop()


def test_it_says_that_the_gateway_is_gone(gateway, page):
    gateway.start(metrics() + serve(5000))
    page.open(URL)
    page.wait("document.getElementById('state').textContent == 'running'")
    gateway.expect_exit = True
    assert gateway.stop() == 0
    page.wait("document.getElementById('state').textContent == 'no answer'")
    assert page.evaluate("document.getElementById('state').classList.contains('bad')")

# SPDX-License-Identifier: GPL-2.0
"""
Who takes part: a line a contender, and how each is put into the gateway of a
site. What this tree or this machine cannot run says so, and is left out.
"""
import contextlib
import os
import resource
import shutil
from dataclasses import dataclass, field

import agent
import gateway as daemon
import rig
from sites import FAMILY, FAR

PORT = 5000
TRUNK = 5001  # where the agent ends connections itself
PROXY_PORT = 9000  # what TPROXY hands connections to
MARK, TABLE = 1, 100
HAPROXY_PIPES = 64  # two a flow that is spliced both ways
HAPROXY_CONFIG = """\
global
    nbthread {threads}
    maxpipes {pipes}
    maxconn {connections}
defaults
    mode tcp
    option splice-auto
    timeout connect 60s
    timeout client 1h
    timeout server 1h
listen transparent
    bind 0.0.0.0:{port} transparent
    server remote 0.0.0.0
"""
DIVERT = f"""\
table ip bench {{
    chain divert {{
        type filter hook prerouting priority mangle
        iifname lan0 tcp dport {PORT} tproxy to :{PROXY_PORT} meta mark set {MARK} accept
    }}
}}
"""


@dataclass(frozen=True)
class Contender:
    """One line of a table or one bar of a plot."""

    name: str
    kind: str = "sluice"  # straight, haproxy, relay, sluice
    congestion: str = "cubic"  # of client and server, which sluice does not touch
    params: dict = field(default_factory=dict)  # of the service, sluice only
    knows_link: bool = False  # is told rate and rtt
    agent: bool = False  # the remote runs one, which registers and tunes it
    settings: dict = field(default_factory=dict)  # of gateway.conf, top level

    def service(self, link):
        """Parameters on a link."""
        return {**self.params, **(link if self.knows_link else {})}


WAN = [
    Contender("straight, CUBIC", "straight"),
    Contender("straight, BBR", "straight", congestion="bbr"),
    Contender("HAProxy", "haproxy"),
    Contender("sluice, defaults"),
    Contender("sluice, bbr", params={"flow_control": "bbr"}, agent=True),
    Contender("sluice, bbr + skip", params={"flow_control": "bbr", "skip_slow_start": True},
              knows_link=True, agent=True),
    Contender("sluice, linkrate", params={"flow_control": "linkrate"}, knows_link=True,
              agent=True),
    Contender("sluice, linkrate + skip",
              params={"flow_control": "linkrate", "skip_slow_start": True}, knows_link=True,
              agent=True),
    Contender("sluice, parallel = 4", agent=True,
              params={"parallel": 4, "flow_control": "cubic", "trunk": TRUNK}),
]

GATEWAY = [
    Contender("forwarding", "straight"),
    Contender("HAProxy", "haproxy"),
    Contender("read/write relay", "relay"),
    Contender("sluice, splice", settings={"engine": "splice"}),
    Contender("sluice, kernel", settings={"engine": "kernel"}),
    Contender("sluice, auto", settings={"engine": "auto"}),
    Contender("sluice, xdp", settings={"engine": "auto", "intercept": "xdp"}),
]

LINK = {"rate": "100mbit", "rtt": "100ms"}


def why_not(contender, directory):
    """None, or why a contender cannot take part here."""
    if contender.kind == "haproxy" and not shutil.which("haproxy"):
        return "haproxy is not installed"
    if contender.kind in ("haproxy", "relay") and not shutil.which("nft"):
        return "nft is not installed"
    if contender.kind != "sluice":
        return None
    path = os.path.join(directory, "check.conf")
    with open(path, "w") as out:
        out.write('lan = { "lan0" }\n')
        for key, value in contender.settings.items():
            out.write(f"{key} = {daemon.quoted(value)}\n")
        out.write(daemon.serve(PORT, address=FAR.remote, **contender.service(LINK)))
    done = rig.run(daemon.SLUICED, "-c", path, "--check", check=False)
    return None if done.returncode == 0 else done.stderr.strip().splitlines()[-1].split(": ", 1)[-1]


class Entrant:
    """A contender in a site of its own."""

    def __init__(self, contender, site):
        self.contender, self.site = contender, site
        self.daemon = self.agent = self.server = None
        self.started = []

    def serve(self):
        """The server at the remote; it stays."""
        self.server = ready(self.site.remote, LOAD, "serve", "--port", PORT, "--congestion",
                            self.contender.congestion)

    def start(self, address, link=None):
        """Puts the contender between client and the remote's address."""
        kind = self.contender.kind
        if kind in ("haproxy", "relay"):
            self._divert()
            if kind == "haproxy":
                self._start_haproxy()
            else:
                self.started.append(ready(self.site.gateway, RELAY, PROXY_PORT, os.cpu_count()))
        elif kind == "sluice":
            self._start_sluice(address, self.contender.service(link or {}))

    def _start_sluice(self, address, params):
        self.daemon = daemon.Gateway(self.site)
        settings = {"workers": 0, "engine": "auto", "wan": [], **self.contender.settings}
        if not self.contender.agent:
            self.daemon.start(daemon.serve(PORT, address=address, **params), **settings)
            return
        self.daemon.start(agent.registrar(lease=60),
                          agent.policy(self.daemon, addresses=[address]), **settings)
        self.agent = agent.announce(self.daemon, FAMILY, PORT, address=address, **params)

    def _start_haproxy(self):
        path = os.path.join(self.site.directory, f"haproxy-{self.site.gateway.name}.cfg")
        with open(path, "w") as out:
            _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
            # by itself it keeps a quarter of its files for pipes
            out.write(HAPROXY_CONFIG.format(threads=os.cpu_count(), port=PROXY_PORT,
                                            pipes=HAPROXY_PIPES,
                                            connections=(files - 2 * HAPROXY_PIPES - 200) // 2))
        self.started.append(self.site.gateway.spawn("haproxy", "-db", "-f", path))
        rig.wait_for(lambda: self.site.gateway.tcp("state", "listening", "sport",
                                                   f"= :{PROXY_PORT}"), "haproxy listens")

    def _divert(self):
        """TPROXY: connections to the port go to a transparent listener of this host."""
        self.site.gateway.run("nft", "-f", "-", input=DIVERT)
        self.site.gateway.ip(f"rule add fwmark {MARK} lookup {TABLE}",
                             f"route add local default dev lo table {TABLE}")

    def stop(self):
        """Takes the contender out again; the server stays."""
        running, one = self.daemon, self.agent
        self.daemon = self.agent = None
        with contextlib.ExitStack() as stack:
            if running:
                stack.callback(running.remove)
                stack.callback(running.finish)
            if one:
                stack.callback(one.process.end)
                stack.callback(one.stop)

    def pids(self):
        """Processes of gateway and remote."""
        return [pid for namespace in (self.site.gateway, self.site.remote)
                for pid in daemon.pids_in(namespace)]

    def close(self):
        self.stop()
        self.site.close()


LOAD = os.path.join(daemon.BUILD, "tests", "load")
RELAY = os.path.join(daemon.BUILD, "tests", "relay")


def ready(namespace, *argv):
    """Starts a program and waits until it has printed "ready"."""
    process = namespace.spawn(*argv)

    def says_so():
        assert process.running(), process.output()
        return "ready" in process.output()

    rig.wait_for(says_so, f"{argv[0]} is ready")
    return process

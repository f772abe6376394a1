# SPDX-License-Identifier: GPL-2.0
"""
The daemon under test: writes its configuration, starts it in the gateway's
namespace, asks it by `sluice`, stops it, and looks whether anything is left.
"""
import contextlib
import json
import os
import shutil
import signal
import socket
import tempfile

from rig import BPFFS, FAMILIES, PATIENCE, Unsupported, linkrate_known, new_kernel, run, wait_for

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("SLUICE_BUILD", os.path.join(REPOSITORY, "build"))
SLUICED = os.path.join(BUILD, "bin", "sluiced")
SLUICE = os.path.join(BUILD, "bin", "sluice")
ROUTING_TABLE = "7471"
# A daemon starts in three quarters of the time with them.
SMALL_TABLES = {"max_proxies": 512, "max_ports": 4096}
NOBODY = 65534


def serve(*ports, address=None, nexthop=False, trunk=None, **params):
    """Configuration: a proxy of the remote (both families), or of one address, with ports."""
    keys = "".join(f' {key.replace("_", "-")} = {quoted(value)}' for key, value in params.items())
    trunks = f" trunk = {trunk}" if trunk else ""
    lines = "".join(f"    port {port} {{{trunks}{keys} }}\n" for port in ports)
    flag = "    nexthop = true\n" if nexthop else ""
    addresses = [address] if address else [family.remote for family in FAMILIES]
    return "".join(f'proxy "{one}" {{\n{flag}{lines}}}\n' for one in addresses)


def quoted(value):
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int) else f'"{value}"'


class Gateway:
    """sluiced in the gateway of a network, or in another of its namespaces between the
    devices lan and wan; or, straight, nothing at all there."""

    def __init__(self, network, engine="splice", intercept="tc", straight=False,
                 namespace=None, lan="lan0", wan="wan0"):
        self.network = network
        self.namespace = namespace or network.gateway
        self.lan, self.wan = [lan], [wan]
        self.engine, self.intercept, self.straight = engine, intercept, straight
        self.directory = tempfile.mkdtemp(prefix="sluice-net-")
        os.chmod(self.directory, 0o755)  # another user must get as far as the socket
        self.run_dir = os.path.join(self.directory, "run")
        self.config = os.path.join(self.directory, "gateway.conf")
        self.pin_dir = os.path.join(BPFFS, os.path.basename(self.directory))
        self.process = None
        self.expect_exit = False  # the test ends the daemon itself
        self.nothing_left = False  # that was looked at, so it need not be taken away
        self.linkrate_before = linkrate_known()
        self.before = self.traces()

    # ---- life ----

    def configure(self, *sections, **settings):
        """Writes the configuration file: settings of the top level, then sections."""
        top = {"workers": 2, "engine": self.engine, "intercept": self.intercept,
               "drain_timeout": f"{round(5 * PATIENCE)}s", **SMALL_TABLES, **settings}
        if top["intercept"] == "tc":
            del top["intercept"]
        lists = {key: top.pop(key, default)
                 for key, default in (("lan", self.lan), ("wan", self.wan))}
        with open(self.config, "w") as out:
            for key, names in lists.items():
                out.write(f"{key} = {{ {', '.join(quoted(name) for name in names)} }}\n")
            for key, value in top.items():
                out.write(f"{key.replace('_', '-')} = {quoted(value)}\n")
            out.write("\n".join(sections))

    def command(self, *extra, pin_dir=None, run_dir=None):
        return [SLUICED, "-c", self.config, "--run-dir", run_dir or self.run_dir,
                "--pin-dir", pin_dir or self.pin_dir, *extra]

    def start(self, *sections, timeout=30, **settings):
        """A daemon that serves sections; returns when it says that it is ready."""
        if self.straight:
            return
        self.configure(*sections, **settings)
        self.nothing_left = False
        path = os.path.join(self.directory, "notify")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(path)
            notify.setblocking(False)
            self.process = self.namespace.spawn(*self.command(),
                                                env={**os.environ, "NOTIFY_SOCKET": path})
            self.namespace.processes.remove(self.process)  # it outlives what the test started

            def ready():
                assert self.process.running(), \
                    f"sluiced ended with {self.process.popen.returncode}:\n{self.output()}"
                with contextlib.suppress(BlockingIOError):
                    return "READY=1" in notify.recv(4096).decode().split("\n")
                return False

            wait_for(ready, "sluiced says READY=1", timeout)

    def try_start(self, *wrapper, pin_dir=None, run_dir=None, extra=()):
        """Runs a daemon that is expected to refuse; gives what became of it."""
        command = self.command(*extra, pin_dir=pin_dir, run_dir=run_dir)
        return self.namespace.run(*wrapper, *command, check=False, timeout=30)

    def output(self):
        return self.process.output() if self.process else ""

    def signal(self, signum):
        self.process.popen.send_signal(signum)

    def stop(self):
        """SIGTERM; the exit status."""
        self.signal(signal.SIGTERM)
        return self.process.wait(20)

    def kill(self):
        """What a crash of the daemon is to everybody else."""
        self.expect_exit = True
        relays = self.relays()
        self.process.kill(signal.SIGKILL)
        self.process.wait()
        wait_for(lambda: not any(alive(pid) for pid in relays),
                 "the relays of a killed daemon end too")

    def relays(self):
        """Process ids of the relays that live."""
        return [relay["pid"] for relay in self.show("status")["relays"] if relay["pid"]]

    def finish(self):
        """The end of every test: the daemon still lives, stops in order, and leaves nothing."""
        if self.process is None:
            return
        if not self.expect_exit:
            assert self.process.running(), \
                f"sluiced died in the test: exit {self.process.popen.returncode}"
            assert self.stop() == 0, f"sluiced ended with {self.process.popen.returncode}"
            self.assert_nothing_left()

    def remove(self):
        if self.process:
            self.process.end()
        if not self.nothing_left:
            for version in "-4", "-6":
                self._drop_rules(version)
        self._drop_linkrate()
        for directory in self.directory, self.pin_dir:
            shutil.rmtree(directory, ignore_errors=True)

    def _drop_rules(self, version):
        """What a daemon that was killed left must not be seen by the next test."""
        for rule in self.namespace.json("ip", version, "-j", "rule"):
            if "fwmark" in rule:
                self.namespace.run("ip", version, "rule", "del", "pref", rule["priority"])
        self.namespace.run("ip", version, "route", "flush", "table", ROUTING_TABLE, check=False)

    def _drop_linkrate(self):
        """Before 6.4 it outlives a killed daemon; what was there before is another's."""
        if not new_kernel(6, 4) and not self.linkrate_before and linkrate_known():
            run("bpftool", "struct_ops", "unregister", "name", "linkrate", check=False)

    # ---- what it leaves ----

    def traces(self):
        """Everything outside its processes that the daemon changes on its host."""
        ns = self.namespace
        return {
            "IPv4 rules and routes": self._routing("-4"),
            "IPv6 rules and routes": self._routing("-6"),
            "filters": ns.json("bpftool", "-j", "net"),
            "qdiscs": sorted(q["kind"] + q["dev"] for q in ns.json("tc", "-j", "qdisc")),
            "pins": os.path.exists(self.pin_dir) and os.listdir(self.pin_dir),
            "processes": [pid for pid in pids_in(ns) if title(pid).startswith("sluiced")],
        }

    def _routing(self, version):
        """The rules, and the routes of our table; there may be no such table."""
        shown = self.namespace.run("ip", version, "-force", "-batch", "-", check=False,
                                   input=f"rule show\nroute show table {ROUTING_TABLE}\n").stdout
        assert "lookup main" in shown, f"ip {version} does not say its rules: {shown}"
        return shown.splitlines()

    def assert_nothing_left(self):
        after = self.traces()
        for what, before in self.before.items():
            assert after[what] == before, f"{what}: {before} before sluiced, {after[what]} after"
        self.nothing_left = True

    # ---- what its host may do to it ----

    @contextlib.contextmanager
    def barred(self, family):
        """A firewall drops what is taken before it gets to a socket."""
        if self.intercept == "xdp":
            table = "inet sluice-test"
            rule = "type filter hook input priority 0; tcp dport 10240-29999 drop;"
            add = f"add table {table} {{ chain input {{ {rule} }}; }}"
            done = self.namespace.run("nft", add, check=False)
            if done.returncode:
                raise Unsupported(f"no nftables for: {rule}")
            undo = ("nft", f"delete table {table}")
        else:
            rule = "pref 10 fwmark 0x50000000/0xf0000000 blackhole"
            self.namespace.ip(f"rule add {rule}", family=family)
            undo = ("ip", family.option, "rule", "del", *rule.split())
        try:
            yield
        finally:
            self.namespace.run(*undo)

    # ---- what it says ----

    def sluice(self, *argv, check=True, user=None, run_dir=None):
        """Runs the command-line tool."""
        command = [SLUICE, "--run-dir", run_dir or self.run_dir, *map(str, argv)]
        if user is not None:
            command = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *command]
        return self.namespace.run(*command, check=check, timeout=30)

    def show(self, *noun):
        return json.loads(self.sluice("show", *noun, "-j").stdout)

    def counters(self):
        return {name: value for group in self.show("counters").values()
                for name, value in group.items()}

    def flows(self):
        return self.show("flows")["flows"]

    def flow_of(self, sock):
        """The flow of a client's socket, as `sluice show flows` has it."""
        name = sock.getsockname()
        client = f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"
        for flow in self.flows():
            if flow["client"] == client:
                return flow
        return None

    # ---- what tests claim ----

    def took(self, far, family):
        """Whether the remote's socket is the far end of a WAN leg: its peer is the gateway."""
        peer = far.getpeername()[0]
        assert peer in (family.client, family.wan), f"a connection from {peer}"
        return self.straight or peer == family.wan

    @contextlib.contextmanager
    def counting(self, **expected):
        """In the block these counters rise by so much; joined=(3, ...) means at least 3."""
        if self.straight:
            yield
            return
        before = self.counters()
        yield

        def risen():
            after = self.counters()
            return {name: after[name] - before[name] for name in expected}

        def reached(name, value):
            if isinstance(expected[name], tuple):
                return value >= expected[name][0]
            return value == expected[name]

        last = {}

        def all_reached():
            last.update(risen())
            return all(reached(name, value) for name, value in last.items())

        try:
            wait_for(all_reached, "counters")
        except AssertionError:
            moved = {name: value - before[name] for name, value in self.counters().items()
                     if value != before[name]}
            raise AssertionError(f"counters rose by {last}, expected {expected}; "
                                 f"all that rose: {moved}") from None


def title(pid):
    """What a process calls itself: its name and its command line."""
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/comm") as comm, open(f"/proc/{pid}/cmdline") as cmdline:
            return f"{comm.read().strip()} {cmdline.read()}"
    return ""


def alive(pid):
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    return False


def holds(pid, secret):
    """Whether these bytes are anywhere in a process's own memory."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            bounds, access = line.split()[:2]
            if not access.startswith("rw"):
                continue
            start, end = (int(bound, 16) for bound in bounds.split("-"))
            with contextlib.suppress(OSError, ValueError):
                memory.seek(start)
                if secret in memory.read(end - start):
                    return True
    return False


def pids_in(namespace):
    inode = os.stat(f"/run/netns/{namespace.name}").st_ino
    return [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and netns(pid) == inode]


def netns(pid):
    """The inode of a process's network namespace; None when it has ended."""
    with contextlib.suppress(OSError):
        return os.stat(f"/proc/{pid}/ns/net").st_ino
    return None


def no_capabilities():
    """A command prefix that runs a program as root without any capability."""
    return ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all"]


def missing():
    """None, or why the daemon cannot be tested."""
    for path in SLUICED, SLUICE:
        if not os.access(path, os.X_OK):
            return f"{path} is not built"
    return None

# SPDX-License-Identifier: GPL-2.0
"""
The network that the tests run in: client - gateway - wan - remote, each a
network namespace, with IPv4 and IPv6 on every link, and the means to run
programs, open sockets and capture packets inside any of them.

        10.1.0.0/24          10.9.0.0/24          10.2.0.0/24
    client eth0 -- lan0 gateway wan0 -- west wan east -- eth0 remote
        fd00:1::/64          fd00:9::/64          fd00:2::/64

Sockets belong to the namespace they were made in, whoever uses them later, so
tests hold both ends of a connection in one process.
"""
import contextlib
import ctypes
import ipaddress
import json
import os
import re
import select
import signal
import socket
import struct
import subprocess
import time
from dataclasses import dataclass

CLONE_NEWNET = 0x40000000
BPFFS_MAGIC = 0xCAFE4A11
BPFFS = "/sys/fs/bpf"
GREETING = b"is anybody there?"
# How many times longer than usual to wait, on a machine that is known to be slow.
PATIENCE = float(os.environ.get("SLUICE_PATIENCE", "1"))
SOCKET_TIMEOUT = 20 * PATIENCE  # seconds; a test that waits longer for a peer has failed

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Family:
    """The addresses of one address family."""

    name: str
    af: int
    bits: int  # prefix length of every link
    client: str
    lan: str  # the gateway's, towards the client
    wan: str  # the gateway's, towards the remote
    router: str  # of the wan, the gateway's next hop
    router_east: str
    remote: str
    silent: str  # on the remote's link, nobody has it
    unreachable: str  # the wan has an unreachable route for it
    prohibited: str  # the wan has a prohibit route for it
    noroute: str  # the wan has no route for it
    blackhole: str  # the wan drops what is sent there
    vlan_client: str
    vlan_gateway: str
    inner_client: str  # behind the client as a router
    inner_router: str

    def at(self, address, port):
        """How sluice writes an address and a port."""
        return f"[{address}]:{port}" if self.af == socket.AF_INET6 else f"{address}:{port}"

    def host(self, address):
        """How a URL, or rsync, writes an address."""
        return f"[{address}]" if self.af == socket.AF_INET6 else address

    @property
    def option(self):
        """What tells ip(8) which family is meant."""
        return "-6" if self.af == socket.AF_INET6 else "-4"

    def net(self, address):
        """The link's network that an address is in."""
        return str(ipaddress.ip_network(f"{address}/{self.bits}", strict=False))

    def with_bits(self, address):
        """An address as an interface takes it: at once, without looking for duplicates."""
        nodad = " nodad" if self.af == socket.AF_INET6 else ""
        return f"{address}/{self.bits}{nodad}"

    def __str__(self):
        return self.name


IPV4 = Family("IPv4", socket.AF_INET, 24, "10.1.0.2", "10.1.0.1", "10.9.0.1", "10.9.0.2",
              "10.2.0.1", "10.2.0.2", "10.2.0.9", "10.4.0.2", "10.4.0.3", "10.44.0.2",
              "10.5.0.2", "10.6.0.2", "10.6.0.1", "10.7.0.2", "10.7.0.1")
IPV6 = Family("IPv6", socket.AF_INET6, 64, "fd00:1::2", "fd00:1::1", "fd00:9::1", "fd00:9::2",
              "fd00:2::1", "fd00:2::2", "fd00:2::9", "fd00:4::2", "fd00:4::3", "fd00:44::2",
              "fd00:5::2", "fd00:6::2", "fd00:6::1", "fd00:7::2", "fd00:7::1")
FAMILIES = (IPV4, IPV6)


def wait_for(condition, what, timeout=10.0):
    """Polls until condition() is true and returns its value; fails by name after timeout."""
    timeout *= PATIENCE
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end:
            raise AssertionError(f"not within {timeout:g} s: {what}")
        time.sleep(0.01)


@contextlib.contextmanager
def stopped(pids):
    """These processes do nothing in the block, and do not know of it afterwards."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def run(*argv, check=True, timeout=60, **kwargs):
    """Runs a program to its end; text in and out."""
    kwargs.setdefault("stdin", None if "input" in kwargs else subprocess.DEVNULL)
    if kwargs["stdin"] is None:
        del kwargs["stdin"]
    done = subprocess.run([str(a) for a in argv], text=True, timeout=timeout * PATIENCE,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kwargs)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(map(str, argv))}: exit {done.returncode}\n"
                             f"{done.stdout}{done.stderr}")
    return done


def inside_sandbox():
    """None, or why this is no place to build namespaces and pin BPF objects."""
    if os.geteuid() != 0:
        return "not root"
    links = [link["ifname"] for link in json.loads(run("ip", "-j", "link").stdout)]
    if any(name not in ("lo", "tunl0", "sit0", "ip6tnl0", "gre0", "gretap0", "erspan0",
                        "ip_vti0", "ip6_vti0", "ip6gre0") for name in links):
        return f"this network namespace has interfaces in use ({', '.join(links)})"
    with open("/proc/self/mountinfo") as mounts:
        if not any(line.split()[4] == BPFFS and " - bpf " in line for line in mounts):
            return f"no BPF file system on {BPFFS}"
    return None


class Process:
    """A program that was started and not waited for; its output goes to a file."""

    def __init__(self, argv, log, **kwargs):
        self.argv = [str(a) for a in argv]
        self.log = log
        with open(log, "ab") as out:
            kwargs.setdefault("stdin", subprocess.DEVNULL)
            kwargs.setdefault("stdout", out)
            self.popen = subprocess.Popen(self.argv, stderr=out, **kwargs)
        self.pid = self.popen.pid

    def running(self):
        return self.popen.poll() is None

    def output(self):
        with open(self.log, errors="replace") as text:
            return text.read()

    def wait(self, timeout=10):
        timeout *= PATIENCE
        try:
            return self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout:g} s: {' '.join(self.argv)}\n"
                                 f"{self.output()}") from None

    def kill(self, signum=signal.SIGKILL):
        if self.running():
            self.popen.send_signal(signum)

    def end(self):
        self.kill()
        self.popen.wait()
        for pipe in (self.popen.stdin, self.popen.stdout):
            if pipe:
                pipe.close()


class Unsupported(Exception):
    """This kernel lacks what a test needs; says what."""


def new_kernel(major, minor):
    """Whether this kernel is of that version or later: for what cannot be tried."""
    return tuple(map(int, re.findall(r"\d+", os.uname().release)[:2])) >= (major, minor)


def linkrate_known():
    """Whether some daemon of this host, or one that was killed, has registered linkrate."""
    with open("/proc/sys/net/ipv4/tcp_available_congestion_control") as names:
        return "linkrate" in names.read().split()


class Namespace:
    """A network namespace."""

    def __init__(self, name, directory):
        self.name = name
        self.directory = directory
        self.processes = []
        self.started = 0  # processes, for the names of their logs
        self.sockets = []
        run("ip", "netns", "add", name)
        self._fd = os.open(f"/run/netns/{name}", os.O_RDONLY | os.O_CLOEXEC)
        # addresses are good at once: nothing is sent before duplicates are looked for otherwise
        self.sysctl(ipv6__conf__default__accept_dad=0, ipv6__conf__default__dad_transmits=0)
        self.ip("link set lo up")

    @contextlib.contextmanager
    def entered(self):
        """The calling thread, and the programs that it starts, are inside in the block."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._set(self._fd)
        try:
            yield
        finally:
            self._set(home)
            os.close(home)

    @staticmethod
    def _set(fd):
        if _libc.setns(fd, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")

    # ---- set-up ----

    def ip(self, *commands, family=None):
        """ip(8) commands in one go, of one family where they do not say which themselves."""
        run("ip", *([family.option] if family else []), "-n", self.name, "-batch", "-",
            input="\n".join(commands) + "\n")

    def sysctl(self, **values):
        """a__b__c=v sets a/b/c; one that this kernel lacks is an error."""
        with self.entered():
            for key, value in values.items():
                with open("/proc/sys/net/" + key.replace("__", "/"), "w") as knob:
                    knob.write(str(value))

    # ---- programs ----

    def command(self, *argv):
        """What somebody outside types to run argv in here."""
        return ["nsenter", f"--net=/run/netns/{self.name}", "--", *map(str, argv)]

    def run(self, *argv, **kwargs):
        with self.entered():
            return run(*argv, **kwargs)

    def json(self, *argv):
        return json.loads(self.run(*argv).stdout or "[]")

    def spawn(self, *argv, **kwargs):
        """Starts a program; ended with the test."""
        name = os.path.basename(str(argv[0]))
        self.started += 1
        log = os.path.join(self.directory, f"{self.name}-{name}-{self.started}.log")
        with self.entered():
            process = Process(argv, log, **kwargs)
        self.processes.append(process)
        return process

    # ---- sockets ----

    def socket(self, *args, timeout=SOCKET_TIMEOUT):
        with self.entered():
            sock = socket.socket(*args)
        sock.settimeout(timeout)
        self.sockets.append(sock)
        return sock

    def listen(self, family, address, port, backlog=512):
        sock = self.socket(family.af, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
        sock.listen(backlog)
        return sock

    def connect(self, family, address, port, source=None, timeout=SOCKET_TIMEOUT, **options):
        """A connected socket. source: (address, port) to bind to first."""
        sock = self.socket(family.af, socket.SOCK_STREAM, timeout=timeout * PATIENCE)
        try:
            for option, value in options.items():
                sock.setsockopt(socket.SOL_SOCKET, getattr(socket, option), value)
            if source:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.bind(source)
            sock.connect((address, port))
        except BaseException:
            sock.close()
            raise
        sock.settimeout(SOCKET_TIMEOUT)
        return sock

    def start_connect(self, family, address, port, source=None):
        """A socket whose SYN has been sent."""
        sock = self.socket(family.af, socket.SOCK_STREAM, timeout=0)
        if source:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(source)
        sock.connect_ex((address, port))
        return sock

    def accepts(self, family, address, port):
        """Whether something in here listens there."""
        with contextlib.suppress(OSError):
            self.connect(family, address, port, timeout=1).close()
            return True
        return False

    def tcp(self, *filters):
        """The lines of ss(8), one a socket, all that it knows in each."""
        return self.run("ss", "-HtinmoOe", *filters).stdout.splitlines()

    # ---- the end ----

    def close_sockets(self):
        """Resets whatever a test left open, so that nothing is waited for."""
        for sock in self.sockets:
            if sock.fileno() >= 0 and sock.type == socket.SOCK_STREAM:
                reset(sock)
            sock.close()
        self.sockets.clear()

    def end_processes(self, keep=0):
        for process in reversed(self.processes[keep:]):
            process.end()
        del self.processes[keep:]

    def close(self):
        self.close_sockets()
        self.end_processes()
        os.close(self._fd)
        run("ip", "netns", "del", self.name)


def reset(sock):
    """Ends a connection with an RST."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def receive(sock, size):
    """Exactly size bytes; fewer only when the peer closed."""
    parts = []
    while size:
        part = sock.recv(min(size, 1 << 20))
        if not part:
            break
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def receive_all(sock):
    """Everything up to the peer's FIN."""
    return b"".join(iter(lambda: sock.recv(1 << 20), b""))


def echo(near, far, text=GREETING):
    """Bytes cross a connection both ways."""
    near.sendall(text)
    assert receive(far, len(text)) == text
    far.sendall(text[::-1])
    assert receive(near, len(text)) == text[::-1]


class Network:
    """The four namespaces. Everything in them is removed with close()."""

    def __init__(self, tag, directory):
        self.directory = directory
        self.tag = tag
        self.namespaces = []
        self.client, self.gateway, self.wan, self.remote = (
            self.add(name) for name in ("client", "gateway", "wan", "remote"))
        self.link(self.client, "eth0", self.gateway, "lan0")
        self.link(self.gateway, "wan0", self.wan, "west")
        self.link(self.wan, "east", self.remote, "eth0")
        for family in FAMILIES:
            self._address(family)
        for namespace in self.gateway, self.wan:
            namespace.sysctl(ipv4__ip_forward=1, ipv6__conf__all__forwarding=1)
        for namespace in self.namespaces:
            # errors as often as they are due, and no memory of earlier tests
            namespace.sysctl(ipv4__icmp_ratelimit=0, ipv6__icmp__ratelimit=0,
                             ipv4__tcp_no_metrics_save=1)
        for version in "ipv4", "ipv6":
            self.wan.sysctl(**{f"{version}__neigh__east__retrans_time_ms": 100})

    def add(self, name):
        namespace = Namespace(f"{name}-{self.tag}", self.directory)
        self.namespaces.append(namespace)
        return namespace

    @staticmethod
    def link(left, left_device, right, right_device):
        left.ip(f"link add {left_device} type veth peer name {right_device} netns {right.name}",
                f"link set {left_device} up")
        right.ip(f"link set {right_device} up")

    def _address(self, f):
        for namespace, device, address in (
                (self.client, "eth0", f.client), (self.gateway, "lan0", f.lan),
                (self.gateway, "wan0", f.wan), (self.wan, "west", f.router),
                (self.wan, "east", f.router_east), (self.remote, "eth0", f.remote)):
            namespace.ip(f"address add dev {device} {f.with_bits(address)}")
        for namespace, router in ((self.client, f.lan), (self.gateway, f.router),
                                  (self.remote, f.router_east)):
            namespace.ip(f"route add default via {router}")
        self.wan.ip(*(f"route add {f.net(inside)} via {f.wan}"
                      for inside in (f.client, f.vlan_client, f.inner_client)),
                    f"route add unreachable {f.unreachable}",
                    f"route add prohibit {f.prohibited}",
                    f"route add blackhole {f.blackhole}", family=f)

    # ---- connections ----

    def connection(self, family, port, **kwargs):
        """(the client's socket, the remote's socket) of a new connection to port."""
        with contextlib.closing(self.remote.listen(family, family.remote, port)) as listener:
            near = self.client.connect(family, family.remote, port, **kwargs)
            far, _ = listener.accept()
        far.settimeout(SOCKET_TIMEOUT)
        self.remote.sockets.append(far)
        return near, far

    # ---- changes for the time of a test ----

    @contextlib.contextmanager
    def slow(self, there=0.0, back=0.0):
        """The wan takes that many seconds more from gateway to remote, and back.
        math.inf: what is sent is lost."""
        helper = os.path.join(os.path.dirname(__file__), "peer.py")
        with contextlib.ExitStack() as stack:
            for seconds, device, table in (there, "west", 100), (back, "east", 101):
                if seconds:
                    tun = f"slow-{device}"
                    process = self.wan.spawn("/usr/bin/python3", "-B", helper, "delay", tun,
                                             seconds, stdout=subprocess.PIPE, text=True)
                    stack.callback(process.end)
                    assert process.popen.stdout.readline() == "ready\n", process.output()
                    for family in FAMILIES:
                        self.wan.ip(f"route add default dev {tun} table {table}",
                                    f"rule add pref {table} iif {device} lookup {table}",
                                    family=family)
                        stack.callback(self.wan.ip, f"rule del pref {table}", family=family)
            yield

    @contextlib.contextmanager
    def vlan(self, number=5):
        """Client and gateway also meet on a VLAN of their link."""
        with contextlib.ExitStack() as stack:
            for namespace, parent in (self.client, "eth0"), (self.gateway, "lan0"):
                device = f"{parent}.{number}"
                done = namespace.run("ip", "link", "add", "link", parent, "name", device,
                                     "type", "vlan", "id", number, check=False)
                if "Unknown device type" in done.stderr:
                    raise Unsupported("no VLAN devices (8021q)")
                stack.callback(namespace.ip, f"link del {device}")
                namespace.ip(f"link set {device} up")
            for f in FAMILIES:
                self.gateway.ip(f"address add dev lan0.{number} {f.with_bits(f.vlan_gateway)}")
                self.client.ip(f"address add dev eth0.{number} {f.with_bits(f.vlan_client)}",
                               f"route add default via {f.vlan_gateway} table {number}",
                               f"rule add pref {number} from {f.vlan_client} lookup {number}",
                               family=f)
                stack.callback(self.client.ip, f"rule del pref {number}", family=f)
            yield

    @contextlib.contextmanager
    def small_wan_mtu(self, mtu=1300):
        """The wan takes at most mtu bytes a packet on its way to the remote."""
        with contextlib.ExitStack() as stack:
            for f in FAMILIES:
                self.wan.ip(f"route add {f.remote} dev east mtu lock {mtu}")
                stack.callback(self.wan.ip, f"route del {f.remote}", family=f)
                # what the senders learn of the path must not outlive it
                for namespace in self.gateway, self.client:
                    stack.callback(namespace.ip, "route flush cache", family=f)
            yield

    @contextlib.contextmanager
    def behind_small_mtu(self, mtu=1300):
        """A host behind the client, which as its router can send it at most mtu bytes."""
        with contextlib.ExitStack() as stack:
            inner = self.add("inner")
            stack.callback(inner.close)
            stack.callback(self.namespaces.remove, inner)
            self.link(inner, "eth0", self.client, "in0")
            self.client.sysctl(ipv4__ip_forward=1, ipv6__conf__all__forwarding=1)
            stack.callback(self.client.sysctl, ipv4__ip_forward=0,
                           ipv6__conf__all__forwarding=0)
            for f in FAMILIES:
                inner.ip(f"address add dev eth0 {f.with_bits(f.inner_client)}",
                         f"route add default via {f.inner_router}")
                self.client.ip(f"address add dev in0 {f.with_bits(f.inner_router)}",
                               f"route add {f.inner_client} dev in0 mtu lock {mtu}")
                self.gateway.ip(f"route add {f.net(f.inner_client)} via {f.client}")
                stack.callback(self.gateway.ip, f"route del {f.net(f.inner_client)}", family=f)
            yield inner

    # ---- the end ----

    def processes(self):
        """How many there are in each namespace: what belongs to the module, not the test."""
        return {namespace: len(namespace.processes) for namespace in self.namespaces}

    def close_sockets(self):
        for namespace in self.namespaces:
            namespace.close_sockets()

    def tidy(self, keep):
        """Takes away what a test left: its sockets and the programs it started."""
        self.close_sockets()
        for namespace in self.namespaces:
            namespace.end_processes(keep.get(namespace, 0))

    def close(self):
        for namespace in self.namespaces:
            namespace.close()


# ---- packets ----

FIN, SYN, RST, PSH, ACK, URG = (1 << bit for bit in range(6))


@dataclass(frozen=True)
class Segment:
    """A TCP segment as it passed a device."""

    device: str
    outgoing: bool
    source: str
    source_port: int
    target: str
    target_port: int
    sequence: int
    acknowledgement: int
    flags: int
    dscp: int

    @property
    def is_syn(self):
        return self.flags & (SYN | ACK) == SYN

    @property
    def is_syn_ack(self):
        return self.flags & (SYN | ACK) == SYN | ACK

    @property
    def is_reset(self):
        return bool(self.flags & RST)


def parse_segment(packet, device, outgoing):
    """A Segment from an IP packet, or None for anything else."""
    if len(packet) < 40:
        return None
    if packet[0] >> 4 == 4:
        if packet[9] != socket.IPPROTO_TCP:
            return None
        dscp, source, target = packet[1] >> 2, packet[12:16], packet[16:20]
        tcp = packet[(packet[0] & 15) * 4:]
    elif packet[6] == socket.IPPROTO_TCP:
        dscp = (struct.unpack("!H", packet[:2])[0] >> 6) & 63
        source, target, tcp = packet[8:24], packet[24:40], packet[40:]
    else:
        return None
    sport, dport, sequence, acknowledgement, _, flags = struct.unpack("!HHIIBB", tcp[:14])
    return Segment(device, outgoing, str(ipaddress.ip_address(source)), sport,
                   str(ipaddress.ip_address(target)), dport, sequence, acknowledgement,
                   flags, dscp)


class Capture:
    """The TCP segments that pass the devices of a namespace, in one order for all of them."""

    ETH_P_ALL = 3
    PACKET_OUTGOING = 4
    SO_RCVBUFFORCE = 33

    def __init__(self, namespace, *devices):
        self.devices = devices
        self.seen = []
        self.sock = namespace.socket(socket.AF_PACKET, socket.SOCK_DGRAM,
                                     socket.htons(self.ETH_P_ALL), timeout=0)
        self.sock.setsockopt(socket.SOL_SOCKET, self.SO_RCVBUFFORCE, 16 << 20)

    def segments(self, wanted=lambda segment: True):
        """Those seen since the capture began that are wanted."""
        with contextlib.suppress(BlockingIOError):
            while True:
                packet, (device, _, kind, _, _) = self.sock.recvfrom(192)
                segment = parse_segment(packet, device, kind == self.PACKET_OUTGOING)
                if segment and device in self.devices:
                    self.seen.append(segment)
        return [segment for segment in self.seen if wanted(segment)]


def send_segment(namespace, family, like, sequence, payload):
    """Puts a TCP segment on the wire that a socket did not send: of the connection of
    another, and with these bytes at this place of the stream."""
    sock = namespace.socket(family.af, socket.SOCK_RAW, socket.IPPROTO_TCP)
    source, target = (ipaddress.ip_address(like.source), ipaddress.ip_address(like.target))
    header = struct.pack("!HHIIBBHHH", like.source_port, like.target_port, sequence & 0xffffffff,
                         like.acknowledgement, 5 << 4, ACK | PSH, 500, 0, 0)
    pseudo = source.packed + target.packed + struct.pack(
        "!II", socket.IPPROTO_TCP, len(header) + len(payload))
    text = pseudo + header + payload + bytes(len(payload) % 2)
    total = sum(struct.unpack(f"!{len(text) // 2}H", text))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    header = header[:16] + struct.pack("!H", ~total & 0xffff) + header[18:]
    sock.bind((like.source, 0))
    sock.sendto(header + payload, (like.target, 0))


# ---- measurements ----

def resident_bytes(pid):
    """Memory of a process that is its own, not shared with others."""
    with open(f"/proc/{pid}/smaps_rollup") as rollup:
        return sum(int(line.split()[1]) << 10 for line in rollup
                   if line.startswith(("Private_Clean", "Private_Dirty")))


def socket_bytes(namespace):
    """Kernel memory in the socket queues of a namespace, from ss's
    skmem:(r,rb,t,tb,f,w,o,bl,d): what is in receive, send and backlog queues."""
    total = 0
    for line in namespace.tcp():
        start = line.find("skmem:(")
        if start < 0:
            continue
        for item in line[start + 7:line.index(")", start)].split(","):
            name = item.rstrip("0123456789")
            if name in ("r", "w", "bl"):
                total += int(item[len(name):])
    return total


def writable(sock, seconds):
    return bool(select.select([], [sock], [], seconds)[1])

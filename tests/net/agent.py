# SPDX-License-Identifier: GPL-2.0
"""The agent under test, and what a gateway needs to hear it: policies and keys."""
import contextlib
import json
import os
import re
import signal
import socket
import subprocess

from gateway import BUILD, SLUICE, quoted
from rig import FAMILIES, IPV4, run, wait_for

AGENT = os.path.join(BUILD, "bin", "sluice-agent")
REGISTRAR_PORT = 7471
LEASE = 2  # seconds; short, so that its end can be waited for
REGISTER = {"type": "register", "id": 1, "address": IPV4.remote, "service": 5000}  # a message


def registrar(lease=LEASE):
    """Configuration: a registrar on all addresses of the gateway."""
    return f'registrar {{ listen = "[::]:{REGISTRAR_PORT}" lease = "{lease}s" }}\n'


def policy(gateway, name="site", addresses=None, ports=("1-65535",), **keys):
    """Configuration: a policy with a key of its own, by default for the remote's addresses."""
    path = key_file(gateway, name)
    addresses = addresses or [family.remote for family in FAMILIES]
    lines = "".join(f"    {key.replace('_', '-')} = {value}\n" for key, value in keys.items())
    return (f'policy "{name}" {{\n    key-file = "{path}"\n'
            f'    addresses = {{ {", ".join(map(quoted, addresses))} }}\n'
            f'    ports = {{ {", ".join(quoted(str(port)) for port in ports)} }}\n{lines}}}\n')


def key_file(gateway, name):
    path = os.path.join(gateway.directory, f"{name}.key")
    if not os.path.exists(path):
        run(SLUICE, "keygen", path)
    return path


def service(port, **keys):
    lines = "".join(f' {key.replace("_", "-")} = {quoted(value)}' for key, value in keys.items())
    return f"service {port} {{{lines} }}\n"


class Agent:
    """sluice-agent in a namespace, by default the remote's."""

    def __init__(self, gateway, family, identity="site", namespace=None, name=None, key=None):
        self.gateway, self.family, self.identity = gateway, family, identity
        self.namespace = namespace or gateway.network.remote
        self.name = name or identity
        self.key = key or key_file(gateway, identity)
        self.config = os.path.join(gateway.directory, f"agent-{self.name}.conf")
        self.process = None

    def configure(self, *services, addresses=None, nexthop=False, registrars=None):
        """Services of an address (by default the remote's) at all registrars."""
        addresses = addresses or [self.family.remote]
        registrars = registrars or [self.family.at(self.family.wan, REGISTRAR_PORT)]
        with open(self.config + ".new", "w") as out:
            for number, address in enumerate(registrars):
                out.write(f'gateway "gw{number}" {{ address = "{address}" '
                          f'identity = "{self.identity}" key-file = "{self.key}" }}\n')
            out.write(f'address = {{ {", ".join(map(quoted, addresses))} }}\n')
            if nexthop:
                out.write("nexthop = true\n")
            out.writelines(services)
        os.rename(self.config + ".new", self.config)

    def start(self, *services, **keys):
        """An agent that has said that it is ready; not that it is connected."""
        self.configure(*services, **keys)
        path = os.path.join(self.gateway.directory, f"notify-{self.name}")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(path)
            notify.settimeout(20)
            self.process = self.namespace.spawn(AGENT, "-c", self.config,
                                                env={**os.environ, "NOTIFY_SOCKET": path})
            assert "READY=1" in notify.recv(4096).decode()
        return self

    def reload(self, *services, **keys):
        self.configure(*services, **keys)
        self.process.popen.send_signal(signal.SIGHUP)

    def stop(self):
        """SIGTERM; the exit status."""
        self.process.popen.send_signal(signal.SIGTERM)
        return self.process.wait(10)

    def kill(self):
        self.process.kill(signal.SIGKILL)
        self.process.wait()

    def says(self, text, timeout=10):
        wait_for(lambda: text in self.output(), f"the agent says {text!r}", timeout)

    def output(self):
        return self.process.output()


def registered(gateway, address, port, state="active"):
    """The entry of `sluice show ports`, or None."""
    for entry in gateway.show("ports")["ports"]:
        if (entry["address"], entry["service_port"]) == (address, port):
            return entry if entry["state"] == state else None
    return None


def wait_registered(gateway, address, *ports, timeout=15):
    for port in ports:
        wait_for(lambda: registered(gateway, address, port), f"{address} {port} is registered",
                 timeout)


def registrar_pid(gateway):
    """Of the running one."""
    return gateway.show("status")["registrar"]["pid"]


def logged(gateway):
    """What the registrar has written to the gateway's log."""
    return [line for line in gateway.output().splitlines() if "registrar: " in line]


def lines_meant(lines):
    """How many there would be without the limit of one a second."""
    return len(lines) + sum(int(more) for line in lines
                            for more in re.findall(r" \(and (\d+) more lines\)$", line))


def announce(gateway, family, port, address=None, **params):
    """An agent that has registered a service of the remote: both ends run it with params."""
    address = address or family.remote
    agent = Agent(gateway, family).start(service(port, **params), addresses=[address])
    wait_registered(gateway, address, port)
    return agent


class Talker:
    """Speaks to the registrar line by line, well or badly, with the right key or none."""

    def __init__(self, gateway, family, identity="site", key=None):
        address = family.at(family.wan, REGISTRAR_PORT)
        if key is None:
            with open(key_file(gateway, identity)) as text:
                key = text.read().strip()
        # -ign_eof would also stop s_client from taking lines as commands
        self.process = gateway.network.remote.spawn(
            "openssl", "s_client", "-connect", address, "-tls1_3", "-psk", key,
            "-psk_identity", identity, "-quiet", "-no_ign_eof",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        os.set_blocking(self.process.popen.stdout.fileno(), False)
        self.received = b""

    def send(self, *messages):
        """Objects as JSON, text and bytes as they are; one line each."""
        for message in messages:
            if isinstance(message, dict):
                message = json.dumps(message)
            if isinstance(message, str):
                message = message.encode()
            with contextlib.suppress(BrokenPipeError):
                self.process.popen.stdin.write(message + b"\n")
        with contextlib.suppress(BrokenPipeError):
            self.process.popen.stdin.flush()

    def hello(self, **keys):
        self.send({"type": "hello", "version": 1, "agent": "test", **keys})
        return self.expect("hello")

    def lines(self):
        self.received += self.process.popen.stdout.read() or b""
        return [json.loads(line) for line in self.received.split(b"\n")[:-1]]

    def expect(self, kind, **keys):
        """The first message of a type, with these members; waits for it."""
        def found():
            for message in self.lines():
                if message["type"] == kind and keys.items() <= message.items():
                    return message
            return None
        return wait_for(found, f"the registrar says {kind} {keys}; it said {self.received!r}")

    def closed(self, timeout=10):
        """Waits until the registrar has ended the connection."""
        self.process.wait(timeout)

# SPDX-License-Identifier: GPL-2.0
"""
Every command of the README is run, in its order, and every configuration written.
A line that looks like none of the kinds known here is a failure.
"""
import os
import re
import subprocess

import rig
from host import BUILD, package
from pages import SOURCE, indented_blocks
from steps import commands, copy_key, in_place

# What the README shows and nobody types: a picture, and what the demo prints.
SHOWN = "client ── LAN", "client --- gateway", "TRANSFER  PATH", "open port:", "$ sluice show"


def show(block):
    """Every command the output of which is shown must be one that exists."""
    for command in re.findall(r"^\$ sluice (\w+)", block, flags=re.M):
        rig.run(os.path.join(BUILD, "bin", "sluice"), command, "--help")


def on_this_machine(command):
    """The commands in the source's directory."""
    if command == "make test":  # it is what runs this
        return
    if command == "make deb":
        argv = ["make", "--no-print-directory", "deb", f"BUILD={BUILD}"]
    elif command == "make vmtest":  # an hour; .ci/run does a quick one. Here: that make knows it
        argv = ["make", "--dry-run", "vmtest"]
    else:
        raise AssertionError(f"{command!r} is new: say here how it is run")
    environment = {name: value for name, value in os.environ.items()
                   if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    done = subprocess.run(argv, cwd=SOURCE, text=True, timeout=400, check=False, env=environment,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout


# Commands that go on until somebody ends them: how that is done, on a terminal where
# they want one. An interrupted trace says so by its status, 130.
ENDED = {"sluice trace": "timeout --preserve-status --signal=INT 2 {} || [ $? = 130 ]",
         "sluice top": "while sleep 1 && printf q; do :; done | "
                       "TERM=linux timeout 60 script -qefc '{}' /dev/null"}


class Reader:
    """Follows the README on a gateway and a remote."""

    def __init__(self, gateway, remote, demo):
        self.gateway, self.remote, self.demo = gateway, remote, demo

    def block(self, before, block):
        if any(block.lstrip().startswith(start) for start in SHOWN):
            show(block)
            return
        machine = self.remote if "n the remote" in before else self.gateway
        config = re.search(r"`(/etc/sluice/\w+\.conf)`", before)
        if config and "{" in block:
            self.configure(machine, config[1], block, "added to" in before)
            return
        for command in commands(block):
            self.command(machine, command)

    def configure(self, machine, path, text, added):
        machine.write(path, (machine.read(path) if added else "") + in_place(text) + "\n")

    def command(self, machine, command):
        if command == "make demo":  # what it does after the build
            status, said = self.demo()
            assert status == 0, said
        elif command.startswith("make "):
            on_this_machine(command)
        elif command.startswith("apt install "):
            file = command.split()[-1]
            assert file == f"./build/deb/{os.path.basename(package())}"
            for one in self.gateway, self.remote:
                one.install()
        else:
            assert command.split()[0] in ("sluice", "sluiced", "systemctl"), f"{command!r} is new"
            how = ENDED.get(" ".join(command.split()[:2]), "{}")
            done = machine.shell(how.format(in_place(command)), check=False)
            assert done.returncode == 0, (command, done.stdout, done.stderr,
                                          machine.journal("sluice*"))
            if " keygen " in f"{command} ":
                copy_key(self.gateway, self.remote, command.split()[-1])


def test_every_command_of_the_readme_works(net, hosts, demo):
    with open(os.path.join(SOURCE, "README.md")) as document:
        blocks = indented_blocks(document.read())
    net.gateway.ip("link add lan1 type veth peer name lan1-peer", "link set lan1 up")
    reader = Reader(hosts(net.gateway), hosts(net.remote), demo)
    for before, block in blocks:
        reader.block(before, block)
    assert reader.gateway.is_active("sluiced") and reader.remote.is_active("sluice-agent")
    rig.wait_for(lambda: rig.IPV4.remote in reader.gateway.shell("sluice show proxies").stdout,
                 "the agent of the README has registered")

# SPDX-License-Identifier: GPL-2.0
"""Runs the load tool in a client's namespace and gives what it found."""
import json
import subprocess

from contenders import LOAD, PORT


class Failed(Exception):
    """The traffic did not come through; says why."""


def load(namespace, verb, address, timeout=120, port=PORT, **options):
    """One run; options as on its command line. The JSON that it printed."""
    argv = [LOAD, verb, "--address", address, "--port", port]
    for name, value in options.items():
        if value is not None:
            argv += [f"--{name}", value]
    try:
        done = namespace.run(*argv, check=False, timeout=timeout)
    except subprocess.TimeoutExpired:
        raise Failed(f"load {verb}: not done after {timeout} s") from None
    if done.returncode or not done.stdout:
        raise Failed(f"load {verb}: exit {done.returncode}: {done.stderr.strip() or done.stdout[:200]}")
    return json.loads(done.stdout)


def hold_idle(namespace, address, connections):
    """A process that holds connections which do nothing; ends when its input is closed."""
    argv = [LOAD, "idle", "--address", address, "--port", PORT, "--connections", connections,
            "--limit", "60s"]
    process = namespace.spawn(*argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    if process.popen.stdout.readline() != b"ready\n":
        raise Failed(f"load idle: {process.output()}")
    return process

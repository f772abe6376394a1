# SPDX-License-Identifier: GPL-2.0
"""Fixtures of the tests of what is installed: documents, completion, the package."""
import os
import subprocess
import sys

import pytest

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(HERE))
os.environ.setdefault("SLUICE_BUILD", os.path.join(SOURCE, "build"))
sys.path[:0] = [HERE, os.path.join(SOURCE, "tests", "net")]

import host  # noqa: E402
import rig  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def demo(request, tmp_path_factory):
    """
    The demo's end: its status and what it printed. It waits for its slow link most of
    the time, so it runs beside all other tests, if there is one that asks for it.
    """
    if not any(item.path.name == "test_readme.py" for item in request.session.items):
        yield None
        return
    log = tmp_path_factory.mktemp("demo") / "log"
    with open(log, "w") as out, subprocess.Popen(
            [os.path.join(SOURCE, "tests", "demo")], stdin=subprocess.DEVNULL, stdout=out,
            stderr=subprocess.STDOUT) as process:
        try:
            yield lambda: (process.wait(600), log.read_text())
        finally:
            process.terminate()


@pytest.fixture
def hosts(tmp_path):
    """Boots a host on a namespace: hosts(namespace). All end with the test."""
    if host.cgroup2() is None:
        pytest.skip("this machine has no cgroup2 mounted, which systemd needs")
    if host.missing():
        pytest.skip(host.missing())
    if not os.path.isdir(host.TREE):
        pytest.fail(f"{host.TREE} is not there: make test makes it, by tests/package/fetch")
    booted = []

    def boot(namespace):
        booted.append(host.Host(namespace, os.environ["TMPDIR"]))
        return booted[-1].boot()
    try:
        yield boot
    finally:
        for one in booted:
            one.close()


@pytest.fixture
def net(tmp_path):
    """client - gateway - wan - remote, of the net tests."""
    network = rig.Network(f"package-{os.getpid()}", str(tmp_path))
    try:
        yield network
    finally:
        network.close()

# SPDX-License-Identifier: GPL-2.0
"""Fixtures of the tests of what is installed: documents, completion, the package."""
import os
import sys

import pytest

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(HERE))
os.environ.setdefault("SLUICE_BUILD", os.path.join(SOURCE, "build"))
sys.path[:0] = [HERE, os.path.join(SOURCE, "tests", "net")]

import host  # noqa: E402
import rig  # noqa: E402


@pytest.fixture
def hosts(tmp_path):
    """Boots a host on a namespace: hosts(namespace). All end with the test."""
    if host.cgroup2() is None:
        pytest.skip("this machine has no cgroup2 mounted, which systemd needs")
    if not os.path.isdir(host.TREE):
        pytest.fail(f"{host.TREE} is not there: run tests/package/fetch BUILD")
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

# SPDX-License-Identifier: GPL-2.0
"""
Fixtures. A module shares one network; every test has a daemon of its own, and
after each test the daemon must have lived, must stop in order and must leave
nothing behind.

    tests/sandbox /usr/bin/python3 -m pytest tests/net [--straight] [--engine=splice,kernel]
                                                       [--intercept=tc|xdp|both]
"""
import faulthandler
import itertools
import json
import os
import signal
import sys

import pytest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(__file__))

import agent  # noqa: E402
import gateway as daemon  # noqa: E402
import rig  # noqa: E402

TEST_SECONDS = round(120 * rig.PATIENCE)  # a test that takes longer hangs
_tags = itertools.count(1)


def pytest_addoption(parser):
    group = parser.getgroup("sluice")
    group.addoption("--straight", action="store_true",
                    help="no daemon: what holds through sluice must hold without it")
    group.addoption("--engine", default=None, metavar="LIST",
                    help="engines to run every test with, e.g. splice,kernel; without it "
                         "both for what is marked `engines`, and auto for the rest")
    group.addoption("--intercept", default=None, metavar="LIST",
                    help="ways in to run every test with: tc, xdp or both; without it both for "
                         "what is marked `intercepts`, and tc for the rest")


def pytest_configure(config):
    if config.option.collectonly:
        return
    why = rig.inside_sandbox()
    if why:
        pytest.exit(f"{why}: run this as root through tests/sandbox, e.g. "
                    "tests/sandbox /usr/bin/python3 -m pytest tests/net", 4)
    why = None if config.option.straight else daemon.missing()
    if why:
        pytest.exit(f"{why}: run make, or use --straight", 4)


def choices(metafunc, option, marker, marked, otherwise):
    """What a test is run with: as the option says, or its marker, or otherwise."""
    found = metafunc.definition.get_closest_marker(marker)
    if option:
        return option.split(",")
    return list((found.args or marked) if found else otherwise)


def modes_of(metafunc):
    """Engines and ways in. The second way in is not run with each engine: how bytes are
    carried is the same for both."""
    option = metafunc.config.option
    if option.straight:
        return [("none", "tc")]
    engines = choices(metafunc, option.engine, "engines", ("splice", "kernel"), ("auto",))
    intercept = "tc,xdp" if option.intercept == "both" else option.intercept
    ways = choices(metafunc, intercept, "intercepts", ("tc", "xdp"), ("tc",))
    only = metafunc.definition.get_closest_marker("intercepts")
    if only and only.args:
        return list(itertools.product(engines, only.args))
    if option.intercept:
        return list(itertools.product(engines, ways))
    return [*itertools.product(engines, ways[:1]), *itertools.product(engines[:1], ways[1:])]


def pytest_generate_tests(metafunc):
    if "mode" in metafunc.fixturenames:
        modes = modes_of(metafunc)
        ids = ["straight" if engine == "none" else engine if intercept == "tc"
               else f"{engine}-{intercept}" for engine, intercept in modes]
        metafunc.parametrize("mode", modes, ids=ids, scope="function")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    for item in items:
        if "alone" in item.fixturenames:
            item.add_marker(pytest.mark.by_itself)
    if config.option.straight:
        skip = pytest.mark.skip(reason="about taking connections, and --straight takes none")
        for item in items:
            if item.get_closest_marker("stealing"):
                item.add_marker(skip)


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    """client - gateway - wan - remote."""
    directory = tmp_path_factory.mktemp("logs")
    network = rig.Network(f"{os.getpid()}-{next(_tags)}", str(directory))
    try:
        yield network
    finally:
        network.close()


@pytest.fixture(params=rig.FAMILIES, ids=str)
def family(request):
    """The addresses to use: each test holds for IPv4 and for IPv6."""
    return request.param


@pytest.fixture
def gateway(net, mode, request):
    """A daemon that is not started yet: gateway.start(serve(80))."""
    keep = net.processes()
    engine, intercept = mode
    sluice = daemon.Gateway(net, engine, intercept, request.config.option.straight)
    try:
        yield sluice
        net.tidy(keep)
        sluice.finish()
    finally:
        request.node.sluiced_said = sluice.output()
        sluice.remove()
        net.tidy(keep)


def processes(gateway):
    """Whom no agent, good or bad, may disturb: relays, and the registrar's restarts."""
    status = gateway.show("status")
    return [(relay["pid"], relay["restarts"]) for relay in status["relays"]], \
        status["registrar"]["restarts"]


@pytest.fixture
def open_gateway(gateway, request):
    """A gateway with the identity "site", for all of the remote; whatever a test says to it,
    its processes are the same in the end, unless the test is marked `kills`."""
    gateway.start(agent.registrar(), agent.policy(gateway))
    before = processes(gateway)
    yield gateway
    if not request.node.get_closest_marker("kills"):
        assert gateway.process.running(), "main is gone"
        assert processes(gateway) == before


@pytest.fixture
def ruleset(net):
    """The gateway's nftables rules end with the test."""
    yield
    net.gateway.run("nft", "flush ruleset", check=False)


@pytest.fixture(scope="session")
def features():
    """What this kernel offers, as it says itself: {name: whether it is there}."""
    return json.loads(rig.run(os.path.join(daemon.BUILD, "tests", "kernel_features")).stdout)


@pytest.fixture
def alone():
    """No other daemon of the host has registered linkrate."""
    if rig.linkrate_known():
        pytest.skip("another process of this host has registered linkrate")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    """No test hangs: SIGALRM interrupts whatever it waits for."""
    def expired(_signum, _frame):
        faulthandler.dump_traceback()
        raise TimeoutError(f"the test took more than {seconds} s")

    marker = item.get_closest_marker("timeout_seconds")
    seconds = marker.args[0] if marker else TEST_SECONDS
    previous = signal.signal(signal.SIGALRM, expired)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    """What this kernel cannot do is skipped, and the reason told."""
    outcome = yield
    if outcome.excinfo and isinstance(outcome.excinfo[1], rig.Unsupported):
        pytest.skip(f"this kernel has {outcome.excinfo[1]}")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failure shows what the daemon said."""
    outcome = yield
    report = outcome.get_result()
    sluice = getattr(item, "funcargs", {}).get("gateway")
    if report.failed and sluice:
        text = getattr(item, "sluiced_said", None) or sluice.output()
        report.sections.append(("sluiced's stderr", text or "(nothing)"))

# SPDX-License-Identifier: GPL-2.0
"""
sluice doctor: what each test provokes is found, and what the doctor says to
type, typed as it stands, cures it.
"""
import ctypes
import glob
import os
import re
import signal
import subprocess

import pytest

from doctor import cured, doctor, ids, nft, sites, taken, type_cures
from gateway import BUILD, REPOSITORY, SLUICE, serve
from rig import BPFFS, FAMILIES, IPV4, Unsupported, echo, run, wait_for

pytestmark = pytest.mark.stealing


# ---- a host without fault ----

def test_a_running_gateway_without_fault_is_clean(net, gateway):
    gateway.start(serve(5000))
    status, findings = doctor(gateway)
    assert (status, ids(findings)) == (0, set())


def test_a_host_on_which_none_runs_is_clean_but_for_that(gateway):
    gateway.configure(serve(5000))
    status, findings = doctor(gateway)
    assert (status, ids(findings)) == (0, {"not-running"})


def test_what_is_good_is_named_and_printed_for_people(gateway):
    gateway.configure(serve(5000))
    done = gateway.namespace.run(SLUICE, "doctor", "-c", gateway.config, "--run-dir",
                                 gateway.run_dir, check=False)
    assert done.returncode == 0, done.stdout
    for name in "BTF", "sk_lookup", "SOCK_DESTROY", "bpffs", "lan0":
        assert name in done.stdout
    assert done.stdout.splitlines()[-1].startswith("0 problems")


def test_the_daemons_own_file_and_pins_are_looked_at_unless_told_otherwise(net, gateway):
    gateway.start(serve(5000))
    done = gateway.namespace.run(SLUICE, "--run-dir", gateway.run_dir, "doctor", "-j", check=False)
    assert done.returncode == 0, done.stdout
    assert gateway.config in done.stdout


def test_without_root_it_says_so(gateway):
    gateway.configure(serve(5000))
    done = gateway.sluice("doctor", user=65534, check=False)
    assert done.returncode == 1
    assert "try sudo" in done.stderr


def test_each_mistake_in_the_configuration_is_a_finding(gateway):
    gateway.configure('proxy "10.2.0.300" { port 70000 { } }')
    status, findings = doctor(gateway)
    assert status == 1
    assert len(findings["bad-config"]) == 2
    assert all(gateway.config in finding["what"] for finding in findings["bad-config"])


# ---- interfaces and forwarding ----

def test_an_interface_that_is_not_there(gateway):
    gateway.configure(serve(5000), lan=["nope0"])
    status, findings = doctor(gateway)
    assert status == 1
    assert "nope0" in findings["no-interface"][0]["what"]


def test_an_interface_that_is_down(net, gateway):
    gateway.configure(serve(5000))
    net.gateway.ip("link add down0 type veth peer name down1")
    try:
        gateway.configure(serve(5000), lan=["down0"])
        net.gateway.ip("link set down1 up")
        cured(gateway, "interface-down")
    finally:
        net.gateway.ip("link del down0")


@pytest.mark.parametrize("remotes", [serve(5000), sites("10.2.0.0/24", "fd00:2::/64")],
                         ids=["static", "agents"])
def test_a_host_that_does_not_forward(net, gateway, family, remotes):
    gateway.sluice("keygen", os.path.join(gateway.directory, "site.key"))
    gateway.configure(remotes)
    name = "ipv4__conf__lan0__forwarding" if family is IPV4 else "ipv6__conf__lan0__forwarding"
    net.gateway.sysctl(**{name: 0})
    try:
        cured(gateway, "no-forwarding")
    finally:
        net.gateway.sysctl(**{name: 1})


def test_a_strict_reverse_path_filter_where_no_route_leads_back(net, gateway):
    net.gateway.ip("link add odd0 type veth peer name odd1", "link set odd0 up",
                   "link set odd1 up")
    net.gateway.sysctl(ipv4__conf__odd0__rp_filter=1)
    try:
        gateway.configure(serve(5000), lan=["odd0"])
        cured(gateway, "rp-filter")
    finally:
        net.gateway.ip("link del odd0")


def test_a_strict_filter_that_looks_at_marks_does_no_harm(net, gateway, family):
    """src_valid_mark: a note, as connections are taken all the same."""
    gateway.start(serve(5000))
    names = ("ipv4__conf__lan0__rp_filter", "ipv4__conf__lan0__src_valid_mark")
    net.gateway.sysctl(**dict.fromkeys(names, 1))
    try:
        finding, = doctor(gateway)[1]["src-valid-mark"]
        assert finding["severity"] == "note" and "lan0" in finding["what"] and finding["why"]
        wait_for(lambda: taken(net, gateway, family), "connections are taken")
    finally:
        net.gateway.sysctl(**dict.fromkeys(names, 0))


def test_an_interface_without_carrier(net, gateway):
    net.gateway.ip("link add odd0 type veth peer name odd1", "link set odd0 up")
    try:
        gateway.configure(serve(5000), lan=["odd0"])
        finding, = doctor(gateway)[1]["no-carrier"]
        assert finding["severity"] == "warning" and finding["advice"]
        net.gateway.ip("link set odd1 up")
        wait_for(lambda: "no-carrier" not in doctor(gateway)[1], "it has a carrier")
    finally:
        net.gateway.ip("link del odd0")


@pytest.mark.parametrize("way", ["xdp", "tc"])
def test_tags_of_vlans_that_xdp_cannot_see(net, gateway, way):
    gateway.intercept = way
    with net.vlan():
        gateway.configure(serve(5000))
        if way == "xdp":
            cured(gateway, "vlan-offload")
        assert "vlan-offload" not in doctor(gateway)[1]


def test_an_interface_that_was_removed_under_a_running_gateway(net, gateway):
    net.gateway.ip("link add odd0 type veth peer name odd1", "link set odd0 up",
                   "link set odd1 up")
    gateway.start(serve(5000), lan=["lan0", "odd0"])
    net.gateway.ip("link del odd0")
    wait_for(lambda: "interface-gone" in doctor(gateway)[1], "it is found")
    net.gateway.ip("link add odd0 type veth peer name odd1", "link set odd0 up",
                   "link set odd1 up")
    try:
        cured(gateway, "interface-gone")
        gateway.sluice("detach", "odd0")
    finally:
        net.gateway.ip("link del odd0")


@pytest.mark.parametrize("remotes", [serve(5000), sites("10.2.0.0/24")], ids=["static", "agents"])
def test_a_wan_with_a_smaller_mtu_than_the_lan(net, gateway, ruleset, remotes):
    gateway.sluice("keygen", os.path.join(gateway.directory, "site.key"))
    gateway.configure(remotes)
    net.gateway.ip("link set wan0 mtu 1400")
    try:
        nft(gateway, "add table inet probe")
        cured(gateway, "mtu", "warning")
    finally:
        net.gateway.ip("link set wan0 mtu 1500")


# ---- the configuration and this host ----

def test_a_remote_that_is_this_host(net, gateway):
    gateway.configure(serve(5000, address=IPV4.lan))
    status, findings = doctor(gateway)
    assert status == 1 and IPV4.lan in findings["own-address"][0]["what"]


def test_a_remote_without_a_route(net, gateway):
    net.gateway.ip(f"route add unreachable {IPV4.noroute}")
    try:
        gateway.configure(serve(5000, address=IPV4.noroute))
        status, findings = doctor(gateway)
        assert status == 1 and IPV4.noroute in findings["no-route"][0]["what"]
    finally:
        net.gateway.ip(f"route del unreachable {IPV4.noroute}")


LISTENERS = {"registrar": ('registrar { listen = "0.0.0.0:7471" }', "0.0.0.0", 7471),
             "metrics": ('metrics { listen = "127.0.0.1:7472" }', "127.0.0.1", 7472)}


@pytest.mark.parametrize("section", LISTENERS)
def test_a_port_of_the_gateways_own_that_is_taken(net, gateway, section):
    """Another program listens there too, at an address that is in nobody's way."""
    text, address, port = LISTENERS[section]
    gateway.configure(text, serve(5000))

    def listener(where):
        program = (f"import socket, time; s = socket.create_server(('{where}', {port})); "
                   "print('ready', flush=True); time.sleep(600)")
        process = net.gateway.spawn("/usr/bin/python3", "-c", program, stdout=subprocess.PIPE)
        assert process.popen.stdout.readline() == b"ready\n", process.output()
        return process

    if address == "127.0.0.1":
        listener("127.0.0.2")
    squatter = listener(address)
    assert gateway.try_start().returncode == 1, "the provocation does not provoke"
    found = cured_after(gateway, "port-taken", lambda: not squatter.running())
    assert section in found[0]["what"] and str(squatter.pid) in found[0]["what"]


def test_an_address_to_listen_on_that_this_host_has_not(gateway):
    gateway.configure('registrar { listen = "203.0.113.77:7471" }', serve(5000))
    assert gateway.try_start().returncode == 1, "the provocation does not provoke"
    status, findings = doctor(gateway)
    assert status == 1 and "203.0.113.77:7471" in findings["cannot-listen"][0]["what"]


def test_listeners_of_the_gateway_that_runs_are_its_own(gateway):
    gateway.start(*(text for text, _, _ in LISTENERS.values()), serve(5000))
    status, findings = doctor(gateway)
    assert (status, ids(findings)) == (0, set())


def test_a_flow_log_without_a_directory(gateway):
    path = os.path.join(gateway.directory, "missing", "flows.jsonl")
    gateway.configure(serve(5000), flow_log=path)
    assert gateway.try_start().returncode == 1, "the provocation does not provoke"
    cured(gateway, "no-directory")


def test_a_user_that_is_not_there(gateway):
    """What the cure changes is the host's: it is read, not typed."""
    gateway.configure(serve(5000), user="nobody-of-that-name")
    status, findings = doctor(gateway)
    assert status == 1
    assert findings["no-user"][0]["cure"] == ["useradd --system --no-create-home "
                                              "nobody-of-that-name"]


def cured_after(gateway, name, done):
    """As cured(), for what takes a moment to be gone."""
    _, findings = doctor(gateway)
    assert name in findings
    type_cures(gateway, findings, only=name)
    wait_for(done, "the cure has taken effect")
    assert name not in doctor(gateway)[1]
    return findings[name]


def test_a_relay_that_hangs(net, gateway):
    gateway.start(serve(5000))
    pid = gateway.relays()[0]
    os.kill(pid, signal.SIGSTOP)
    try:
        found = wait_for(lambda: doctor(gateway)[1].get("relay-hung"), "it is found")
        assert str(pid) in found[0]["what"]
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_for(lambda: "relay-hung" not in doctor(gateway)[1], "it goes on")


def test_a_gateway_with_another_run_directory(gateway):
    gateway.start(serve(5000))
    done = gateway.namespace.run(SLUICE, "--run-dir", "/nowhere", "doctor", "-c", gateway.config,
                                 "--pin-dir", gateway.pin_dir, "-j", check=False)
    assert '"unreachable"' in done.stdout and "/nowhere" in done.stdout


def test_a_gateway_that_drains(net, gateway):
    gateway.start(serve(5000))
    gateway.sluice("drain")
    cured(gateway, "draining", "warning")


# ---- limits ----

def test_too_few_descriptors(gateway):
    gateway.configure(serve(5000))
    limited = ["prlimit", "--nofile=1024:1024"]
    assert "few-descriptors" in doctor(gateway, wrapper=limited)[1]


def test_the_descriptors_of_the_running_relays_are_those_that_count(gateway, monkeypatch):
    gateway.configure(serve(5000))
    assert "few-descriptors" not in doctor(gateway)[1]
    command = gateway.command
    monkeypatch.setattr(gateway, "command", lambda: ["prlimit", "--nofile=1024:1024", *command()])
    gateway.start(serve(5000))
    assert "few-descriptors" in doctor(gateway)[1]


def test_too_few_local_ports(net, gateway):
    gateway.configure(serve(5000))
    path = "/proc/sys/net/ipv4/ip_local_port_range"
    before = net.gateway.run("cat", path).stdout.split()
    net.gateway.sysctl(ipv4__ip_local_port_range="40000 40999")
    try:
        cured(gateway, "few-ports", "warning")
    finally:
        net.gateway.sysctl(ipv4__ip_local_port_range=" ".join(before))


def test_a_full_conntrack_table(net, gateway, tmp_path):
    """The kernel's own bound is the machine's: in a mount namespace, files stand in for it."""
    gateway.configure(serve(5000))
    directory = "/proc/sys/net/netfilter"
    if net.gateway.run("test", "-e", f"{directory}/nf_conntrack_max", check=False).returncode:
        raise Unsupported("no conntrack")
    for name, value in ("max", 1000), ("count", 950):
        (tmp_path / name).write_text(f"{value}\n")
    look = f"{SLUICE} --run-dir {gateway.run_dir} doctor -c {gateway.config} -j"
    cure = "jq -r '.groups[].findings[] | select(.id == \"conntrack-full\") | .cure[]'"
    net.gateway.run("unshare", "--mount", "sh", "-c", f"""
        for name in max count; do
            mount --bind {tmp_path}/$name {directory}/nf_conntrack_$name || exit 1
        done
        {look} >{tmp_path}/before
        {cure} {tmp_path}/before >{tmp_path}/cure
        PATH=$PATH:/usr/sbin:/sbin sh -e {tmp_path}/cure && {look} >{tmp_path}/after""", check=False)
    assert "950 of at most 1000" in (tmp_path / "before").read_text()
    assert "conntrack-full" not in (tmp_path / "after").read_text()


def test_the_clock_is_as_the_kernel_says(gateway):
    gateway.configure(serve(5000))
    timex = (ctypes.c_char * 512)()
    unsynchronised = ctypes.CDLL(None).adjtimex(timex) == 5  # TIME_ERROR
    assert ("clock" in doctor(gateway)[1]) == unsynchronised


def test_a_place_for_pins_that_is_no_bpffs(net, gateway, tmp_path):
    """In a mount namespace of its own the cure is typed and looked at again."""
    gateway.configure(serve(5000))
    script = (f"mount -t tmpfs none {BPFFS} && {SLUICE} --run-dir {gateway.run_dir} doctor "
              f"-c {gateway.config} -j > {tmp_path}/before; "
              f"jq -r '.groups[].findings[] | select(.id == \"no-bpffs\") | .cure[]' "
              f"{tmp_path}/before | sh -e && {SLUICE} --run-dir {gateway.run_dir} doctor "
              f"-c {gateway.config} -j > {tmp_path}/after")
    gateway.namespace.run("unshare", "--mount", "sh", "-c", script)
    assert "no-bpffs" in (tmp_path / "before").read_text()
    assert "no-bpffs" not in (tmp_path / "after").read_text()


@pytest.mark.parametrize("running", [True, False], ids=["running", "not-running"])
def test_the_outcome_of_the_engines_self_test_is_told(net, gateway, running, monkeypatch):
    gateway.configure(serve(5000))
    assert "no-kernel-engine" not in doctor(gateway)[1]
    monkeypatch.setenv("SLUICE_SELF_TEST", "fail")
    if running:
        gateway.start(serve(5000))
        monkeypatch.delenv("SLUICE_SELF_TEST")
    finding = doctor(gateway)[1]["no-kernel-engine"][0]
    assert finding["severity"] == "warning"
    if running:
        assert gateway.show("status")["kernel_engine"]["why"] in finding["what"]


# ---- leftovers ----

def test_what_a_killed_gateway_left_is_found_and_removed(net, gateway):
    gateway.start(serve(5000))
    gateway.kill()
    _, findings = doctor(gateway)
    assert {"leftover-routing", "leftover-pins", "leftover-socket"} <= set(findings)
    assert os.listdir(gateway.pin_dir)
    type_cures(gateway, {"leftover-routing": findings["leftover-routing"]})
    status, findings = doctor(gateway)
    assert (status, ids(findings)) == (0, {"not-running"})
    assert not os.path.exists(gateway.pin_dir)
    for family in FAMILIES:
        rules = net.gateway.run("ip", family.option, "rule").stdout
        assert "fwmark" not in rules


def test_an_empty_place_for_pins_is_no_leftover(gateway):
    """systemd makes it for the unit, and it stays when the gateway stops."""
    gateway.configure(serve(5000))
    os.mkdir(gateway.pin_dir)
    assert ids(doctor(gateway)[1]) == {"not-running"}


def test_fix_leaves_a_running_gateway_alone(net, gateway, family):
    gateway.start(serve(5000))
    near, far = net.connection(family, 5000)
    status, findings = doctor(gateway, "--fix")
    assert (status, ids(findings)) == (0, {"not-fixed"})
    echo(near, far)
    wait_for(lambda: taken(net, gateway, family), "connections are taken")


def test_a_filter_of_clsact_that_was_left(net, gateway):
    """As a gateway on a kernel without tcx leaves it when it is killed."""
    gateway.configure(serve(5000))
    net.gateway.run("tc", "qdisc", "add", "dev", "lan0", "clsact")
    try:
        net.gateway.run("tc", "filter", "add", "dev", "lan0", "ingress", "prio", 0x5137,
                        "handle", "0x5137", "bpf", "direct-action", "object-file",
                        os.path.join(BUILD, "bpf", "intercept.bpf.o"), "section", "tc")
    except AssertionError as error:
        net.gateway.run("tc", "qdisc", "del", "dev", "lan0", "clsact")
        raise Unsupported(f"no tc that loads our program: {error}") from error
    try:
        cured(gateway, "leftover-filter", "warning")
        assert "5137" not in net.gateway.run("tc", "filter", "show", "dev", "lan0",
                                             "ingress").stdout
    finally:
        net.gateway.run("tc", "qdisc", "del", "dev", "lan0", "clsact")


def test_a_linkrate_that_was_left(alone, gateway):
    """As a daemon on a kernel before 6.4 leaves it when it is killed."""
    gateway.configure(serve(5000))
    done = run("bpftool", "struct_ops", "register",
               os.path.join(BUILD, "bpf", "linkrate.bpf.o"), check=False)
    if done.returncode:
        pytest.skip("linkrate is another daemon's, or cannot be registered the old way")
    try:
        cured(gateway, "leftover-linkrate", "warning")
    finally:
        run("bpftool", "struct_ops", "unregister", "name", "linkrate", check=False)


# ---- all of them ----

# What no test here can have a host do, and why.
NOT_PROVOKED = {
    "lro": "no device of namespaces has it, and forwarding takes it off those that have",
    "no-relay": "lasts for milliseconds, relays are started again",
    "no-transparent": "every kernel with IPv4 has it; a container may lack the capability",
    "kernel-lacks": "tests/net/test_kernel.py, on kernels that do",
    "iptables-legacy": "tables that every run of the older iptables makes in the kernel for good",
    "version": "two builds",
    "no-mptcp": "as kernel-lacks", "mptcp-disabled": "as kernel-lacks",
    "no-path-manager": "as kernel-lacks", "no-sock-destroy": "as kernel-lacks",
    "locked-memory": "kernels before 5.11, which are not served",
}


def test_every_finding_has_a_test_or_a_reason():
    """Ids stand in the source as the word after a severity, or in a table of ids."""
    found = set()
    for path in glob.glob(os.path.join(REPOSITORY, "user/cli/doctor/*.c")):
        with open(path) as source:
            text = source.read()
        found |= set(re.findall(r'report_finding\([^"]*?"([a-z0-9-]+)",', text))
        found |= set(re.findall(r'\[FATE_\w+\] = \{ "([a-z-]+)"', text))
    assert len(found) > 35, "the source is not read as it is written"
    named = set()
    for path in glob.glob(os.path.join(os.path.dirname(__file__), "test_doctor*.py")):
        with open(path) as tests:
            text = tests.read().partition("# ---- all of them")[0]
        named |= set(re.findall(r'"([a-z0-9-]+)"', text))
    assert found - named - set(NOT_PROVOKED) == set()
    assert set(NOT_PROVOKED) <= found, "a reason for a finding that there is not"

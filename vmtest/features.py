# SPDX-License-Identifier: GPL-2.0
"""
What the running kernel can do, found by trying it, in a network namespace where
something is changed. The rows are those of docs/kernels.md.
"""
import json
import os
import socket
import subprocess

IPPROTO_MPTCP = 262
PROBE = "tests/kernel_features"


def exists(*paths):
    return any(os.path.exists(path) for path in paths)


def congestion_control(name):
    with socket.socket() as sock:
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, name.encode())
        except OSError:
            return False
    return True


def in_namespace(command):
    """Whether commands, one a line, all succeed in a namespace that ends with them."""
    return subprocess.run(["unshare", "--net", "sh", "-ec", command], stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          check=False).returncode == 0


def mptcp():
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP).close()
    except OSError:
        return False
    return True


def probe(build):
    """{row: whether it is there}, in the order of the table."""
    bpf = json.loads(subprocess.run([os.path.join(build, PROBE)], check=True, text=True,
                                    stdout=subprocess.PIPE).stdout)
    return {
        **bpf,
        "MPTCP": mptcp(),
        "MPTCP userspace path manager": exists("/proc/sys/net/mptcp/pm_type",
                                               "/proc/sys/net/mptcp/path_manager"),
        "congestion control bbr": congestion_control("bbr"),
        "qdisc netem": in_namespace("tc qdisc add dev lo root netem delay 1ms"),
        "qdisc fq": in_namespace("tc qdisc add dev lo root fq"),
        "VLAN devices": in_namespace(
            "ip link add type veth\nip link add link veth0 type vlan id 5"),
        "nftables TPROXY": in_namespace(
            "nft add table ip t\nnft add chain ip t c '{ type filter hook prerouting "
            "priority mangle; }'\nnft add rule ip t c tcp dport 1 tproxy to :1"),
    }

# SPDX-License-Identifier: GPL-2.0
"""Asks sluice doctor, and types what it says."""
import json
import os

from gateway import SLUICE
from rig import Unsupported, echo

# Of the machine, whatever a test does.
MACHINE = {"clock", "few-descriptors", "kernel-lacks", "no-mptcp", "no-path-manager",
           "no-sock-destroy", "locked-memory"}


def doctor(gateway, *argv, wrapper=()):
    """(exit status, findings by their id) of a doctor in the gateway's namespace."""
    command = [*wrapper, SLUICE, "--run-dir", gateway.run_dir, "doctor", "-c", gateway.config,
               "--pin-dir", gateway.pin_dir, "-j", *argv]
    done = gateway.namespace.run(*command, check=False)
    assert done.returncode in (0, 1), done.stderr
    report = json.loads(done.stdout)
    findings = {}
    for group in report["groups"]:
        for finding in group["findings"]:
            findings.setdefault(finding["id"], []).append(finding)
    problems = sum(finding["severity"] == "problem"
                   for several in findings.values() for finding in several)
    assert (report["problems"], done.returncode) == (problems, int(problems > 0))
    return done.returncode, findings


def ids(findings):
    return set(findings) - MACHINE


def type_cures(gateway, findings, only=None):
    """Types what the doctor said, in the gateway's namespace."""
    path = f"{os.path.dirname(SLUICE)}:{os.environ['PATH']}"
    for name, several in findings.items():
        for finding in several:
            if name in MACHINE or (only and name != only):
                continue
            for line in finding["cure"]:
                gateway.namespace.run("sh", "-c", line, env={**os.environ, "PATH": path})


def cured(gateway, name, severity="problem"):
    """It is found, its cure is typed, and then it is not found any more."""
    status, findings = doctor(gateway)
    assert name in findings, f"{name} is not among {findings}"
    assert {finding["severity"] for finding in findings[name]} == {severity}
    for finding in findings[name]:
        assert finding["what"] and finding["why"]
        assert finding["cure"] or finding["advice"]
    assert status == (severity == "problem") or "problem" in str(findings)
    type_cures(gateway, findings, only=name)
    _, left = doctor(gateway)
    assert name not in left, f"the cure does not cure: {left[name]}"
    return findings[name]


def nft(gateway, *commands):
    for command in commands:
        done = gateway.namespace.run("nft", command, check=False)
        if "Operation not supported" in done.stderr or "No such file" in done.stderr:
            raise Unsupported(f"no nftables for: {command}")
        assert done.returncode == 0, done.stderr


def sites(*addresses):
    """Configuration: remotes that agents register."""
    keys = ", ".join(f'"{address}"' for address in addresses)
    return ('registrar { listen = "0.0.0.0:7471" }\n'
            f'policy "site" {{ key-file = "site.key" addresses = {{ {keys} }} ports = {{ "5000" }} }}')


def taken(net, gateway, family):
    """Whether a connection is taken, and carries bytes."""
    with net.remote.listen(family, family.remote, 5000) as listener:
        listener.settimeout(0.1)
        try:
            near = net.client.connect(family, family.remote, 5000, timeout=1)
            far, _ = listener.accept()
        except OSError:
            return False
    far.settimeout(20)
    net.remote.sockets.append(far)
    near.settimeout(1)
    try:
        echo(near, far)
        return gateway.took(far, family)
    except OSError:
        return False
    finally:
        near.close()
        far.close()

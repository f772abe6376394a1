# SPDX-License-Identifier: GPL-2.0
"""The Debian package on a booted Debian 12: install, start, upgrade, remove, purge."""
import os
import re
import shutil

import host
import rig

CONFIG = """\
lan = { "lan0" }
flow-log = "/var/log/sluice/flows.jsonl"
metrics { listen = "127.0.0.1:7472" }
registrar { listen = "0.0.0.0:7471" }
policy "site-b" {
    key-file = "site-b.key"
    addresses = { "10.2.0.0/24" }
    ports = { "80" }
}
proxy "10.3.0.1" { port 80 { } }
"""
USERS = "sluice", "sluice-registrar", "sluice-metrics"
# Where files come and go with any package.
STATE = ("/var/lib/dpkg/", "/var/lib/apt/", "/var/cache/", "/var/log/", "/proc/", "/sys/", "/run/",
         "/dev/", "/tmp/", "/var/tmp/", "/root/", "/etc/ld.so.cache", "/etc/passwd", "/etc/group",
         "/etc/shadow", "/etc/gshadow", "/etc/.pwd.lock", "/var/lib/systemd/", "/etc/machine-id")


def files(machine):
    """All that no package owns."""
    found = machine.shell("find / -xdev -not -type d; find /etc -type d").stdout.splitlines()
    owned = set(machine.shell("cat /var/lib/dpkg/info/*.list").stdout.splitlines())
    # packages of before /usr was merged own /lib/... for /usr/lib/...
    return {path for path in found if path not in owned and not path.startswith(STATE)
            and path.removeprefix("/usr") not in owned}


def newer(deb, directory):
    """The same package with a higher version, and other examples."""
    tree = os.path.join(directory, "newer")
    rig.run("dpkg-deb", "--raw-extract", deb, tree)
    control = os.path.join(tree, "DEBIAN", "control")
    with open(control) as text:
        lines = text.read()
    with open(control, "w") as text:
        text.write(re.sub(r"^Version: (.*)$", r"Version: \1+newer", lines, flags=re.M))
    for example in "gateway", "agent":
        with open(f"{tree}/etc/sluice/{example}.conf.example", "a") as text:
            text.write("# newer\n")
    made = os.path.join(directory, "newer.deb")
    rig.run("dpkg-deb", "--root-owner-group", "--build", tree, made)
    shutil.rmtree(tree)
    return made


def configure(machine):
    machine.run("sluice", "keygen", "/etc/sluice/site-b.key")
    machine.write("/etc/sluice/gateway.conf", CONFIG)


def test_life_of_the_package(net, hosts, tmp_path):
    """Installed it waits to be configured; it survives an upgrade; purged it has never been."""
    machine = hosts(net.gateway)
    before = files(machine)

    machine.install()
    for unit in "sluiced", "sluice-agent":
        assert not machine.is_active(unit)
        assert machine.run("systemctl", "is-enabled", unit, check=False).stdout == "disabled\n"
    for user in USERS:
        assert ":/usr/sbin/nologin\n" in machine.run("getent", "passwd", user).stdout

    # without a configuration a start does nothing, and says so
    machine.run("systemctl", "start", "sluiced")
    assert machine.property("sluiced", "ConditionResult") == "no"

    configure(machine)
    machine.start("sluiced")
    machine.run("systemctl", "reload", "sluiced")
    machine.write("/etc/sluice/gateway.conf", "lan = ")
    assert machine.run("systemctl", "reload", "sluiced", check=False).returncode != 0
    machine.write("/etc/sluice/gateway.conf", CONFIG)
    assert machine.is_active("sluiced")
    assert "10.3.0.1" in machine.run("sluice", "show", "ports").stdout
    for user in USERS:  # relays and registrar live, in what the unit leaves them
        rig.wait_for(lambda: user in machine.shell(
            "stat -c %U /proc/[0-9]* 2>/dev/null || :").stdout.split(), f"a process of {user}")
    for complaint in "Permission denied", "not permitted", "is not used", "cannot be had":
        assert complaint not in machine.journal("sluiced")
    assert machine.run("ls", "/var/log/sluice").stdout == "flows.jsonl\n"

    def relays_memory():
        """By process: a unit that hides them would leave nothing to be told."""
        text = net.gateway.run("curl", "-sS", "http://127.0.0.1:7472/metrics").stdout
        return [float(value) for value in re.findall(
            r'^sluice_process_\w*memory\w*\{[^}]*"relay"[^}]*\} (\S+)$', text, flags=re.M)]
    rig.wait_for(lambda: relays_memory() and min(relays_memory()) > 0, "relays' memory is known")

    machine.shell("echo '# mine' >>/etc/sluice/agent.conf.example")
    first = machine.property("sluiced", "MainPID")
    machine.install(newer(host.package(), str(tmp_path)))
    assert machine.run("dpkg-query", "-W", "-f", "${Version}", "sluice").stdout.endswith("+newer")
    assert machine.is_active("sluiced"), machine.journal("sluiced")
    assert machine.property("sluiced", "MainPID") != first
    assert not machine.is_active("sluice-agent")
    assert machine.read("/etc/sluice/gateway.conf") == CONFIG
    assert machine.read("/etc/sluice/gateway.conf.example").endswith("# newer\n")
    assert machine.read("/etc/sluice/agent.conf.example").endswith("# mine\n")
    assert machine.read("/etc/sluice/agent.conf.example.dpkg-dist").endswith("# newer\n")

    machine.run("apt-get", "remove", "--yes", "sluice")
    assert not machine.is_active("sluiced")
    assert machine.read("/etc/sluice/gateway.conf") == CONFIG
    assert "0x50000000" not in machine.run("ip", "rule").stdout
    assert "sluice" not in machine.run("ls", "/sys/fs/bpf").stdout.split()

    machine.run("apt-get", "purge", "--yes", "sluice")
    assert files(machine) - before == set()
    for user in USERS:
        assert machine.run("getent", "passwd", user, check=False).returncode == 2
        assert machine.run("getent", "group", user, check=False).returncode == 2
    assert machine.shell("find / -xdev -name '*sluice*'").stdout == ""


def test_the_source_package_names_all_that_a_build_needs():
    """`make deb` installs packages.txt first, so that it would not miss what is missing."""
    with open(os.path.join(host.HERE, "..", "packages.txt")) as text:
        group = text.read().split("# [build]")[1].split("# [")[0]
    libraries = {line for line in group.splitlines() if line.startswith("lib")} - {"libc6-dev"}
    with open(os.path.join(host.HERE, "..", "..", "debian", "control")) as text:
        named = text.read().split("Build-Depends:")[1].split("Standards-Version")[0]
    assert libraries <= set(re.findall(r"[a-z0-9.+-]+", named))


def test_systemd_starts_a_daemon_again_that_hangs(net, hosts):
    """The watchdog is fed while a daemon lives, and bites when it is stopped."""
    machine = hosts(net.gateway)
    machine.install()
    configure(machine)
    machine.write("/etc/sluice/agent.conf",
                  'gateway "hq" { address = "10.9.0.1:7471" identity = "site-b" '
                  'key-file = "site-b.key" }\naddress = { "10.2.0.2" }\nservice 80 { }\n')
    for unit in "sluiced", "sluice-agent":
        # after two seconds without a sign of life, in place of half a minute
        machine.shell(f"mkdir -p /run/systemd/system/{unit}.service.d; printf '[Service]\\n"
                      f"WatchdogSec=2s\\n' >/run/systemd/system/{unit}.service.d/fast.conf")
    machine.run("systemctl", "daemon-reload")
    for unit in "sluiced", "sluice-agent":
        machine.start(unit)
        assert machine.property(unit, "WatchdogUSec") == "2s"
        fed = machine.property(unit, "WatchdogTimestampMonotonic")
        rig.wait_for(lambda: machine.property(unit, "WatchdogTimestampMonotonic") != fed,
                     f"{unit} gives a sign of life", 20)
        first = machine.property(unit, "MainPID")
        assert machine.property(unit, "NRestarts") == "0"
        machine.shell(f"kill -STOP {first}")
        rig.wait_for(lambda: machine.is_active(unit)
                     and machine.property(unit, "MainPID") not in ("0", first),
                     f"{unit} runs again", 60)
        assert machine.property(unit, "NRestarts") == "1"

# SPDX-License-Identifier: GPL-2.0
"""
Whole hosts to install the package on: a bare Debian 12 with systemd as process 1,
in namespaces of its own, on a network namespace of the rig. Their disks are
overlays of BUILD/bookworm/tree (tests/package/fetch makes it).
"""
import contextlib
import glob
import os
import shutil
import signal
import subprocess
import tempfile

import rig

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ["SLUICE_BUILD"]
TREE = os.path.join(BUILD, "bookworm", "tree")


def package():
    """The package that `make deb` has built."""
    found, = glob.glob(os.path.join(BUILD, "deb", "sluice_*.deb"))
    return found


def missing():
    """What tests/package/fetch could not have; None when it has all."""
    with contextlib.suppress(FileNotFoundError):
        with open(os.path.join(BUILD, "bookworm", "missing")) as reason:
            return reason.read().strip()
    return None


def cgroup2():
    """Where the machine's cgroup2 is mounted; None if it is not."""
    with open("/proc/self/mounts") as mounts:
        return next((line.split()[1] for line in mounts if line.split()[2] == "cgroup2"), None)


class Host:
    """A booted Debian. namespace: the rig's, whose interfaces it has."""

    def __init__(self, namespace, directory):
        self.namespace = namespace
        self.directory = os.path.join(directory, namespace.name)
        os.makedirs(self.directory)
        self.cgroup = tempfile.mkdtemp(prefix=f"sluice-host-{namespace.name}-", dir=cgroup2())
        self.process = None
        self.processes = []

    def _join(self):
        with open(os.path.join(self.cgroup, "cgroup.procs"), "w") as procs:
            procs.write("0")

    def spawn(self, *argv):
        """A program of this machine, as if it ran on the host: its network, below its cgroup."""
        self.processes.append(self.namespace.spawn(*argv, preexec_fn=self._join))
        return self.processes[-1]

    def boot(self):
        self.process = self.spawn(
            "unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child",
            "--uts", "--ipc", "--cgroup", os.path.join(HERE, "boot"), TREE, self.directory)
        rig.wait_for(self._booted, f"{self.namespace.name} has booted", 60)
        return self

    def _booted(self):
        if not self.process.running():
            raise AssertionError(f"systemd does not start:\n{self.process.output()}")
        if not self._init():
            return False
        done = self.run("systemctl", "is-system-running", check=False)
        return done.stdout.strip() in ("running", "degraded")

    def _init(self):
        """Its process 1, as seen from here; 0 before there is one."""
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as children:
            init = int((children.read().split() or [0])[0])
        if not init:
            return 0
        with contextlib.suppress(OSError):
            return init if os.readlink(f"/proc/{init}/exe").endswith("/systemd") else 0
        return 0

    def run(self, *argv, **kwargs):
        """A command of this host's own, as root."""
        return rig.run("nsenter", f"--target={self._init()}", "--all", "--root",
                       "--wd", "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root",
                       "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", *argv, **kwargs)

    def shell(self, command, **kwargs):
        """What a person types."""
        return self.run("sh", "-ec", command, **kwargs)

    def write(self, path, text, mode=0o644):
        self.run("sh", "-ec", f'umask 077; cat >"{path}"; chmod {mode:o} "{path}"', input=text)

    def read(self, path):
        return self.run("cat", path).stdout

    def copy_in(self, source, path):
        with open(source, "rb") as content:
            done = subprocess.run(["nsenter", f"--target={self._init()}", "--all",
                                   "--root", "--wd", "sh", "-c", f"cat >'{path}'"], stdin=content, check=False)
        assert done.returncode == 0

    def install(self, deb=None):
        """As an operator installs a package file; without a network, from apt's cache."""
        self.copy_in(deb or package(), "/root/sluice.deb")
        done = self.run("apt-get", "install", "--yes", "--no-install-recommends",
                        "-o", "Dpkg::Options::=--force-confdef",
                        "-o", "Dpkg::Options::=--force-confold", "/root/sluice.deb", timeout=120)
        self.run("rm", "/root/sluice.deb")
        return done

    def start(self, unit):
        """As the manual page has it; what the daemon says when it cannot."""
        done = self.run("systemctl", "enable", "--now", unit, check=False)
        assert done.returncode == 0 and self.is_active(unit), done.stderr + self.journal(unit)

    def is_active(self, unit):
        return self.run("systemctl", "is-active", unit, check=False).stdout.strip() == "active"

    def property(self, unit, name):
        return self.run("systemctl", "show", "--value", "-p", name, unit).stdout.strip()

    def journal(self, unit):
        return self.run("journalctl", "--no-pager", "-u", unit, check=False).stdout

    def close(self):
        if self.process:
            with contextlib.suppress(ProcessLookupError, FileNotFoundError):
                if self._init():
                    os.kill(self._init(), signal.SIGKILL)
        for process in self.processes:
            process.end()
        rig.wait_for(self._remove_cgroups, f"the cgroups of {self.namespace.name} are empty", 20)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _remove_cgroups(self):
        for directory, _, _ in os.walk(self.cgroup, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(directory)
        return not os.path.exists(self.cgroup)

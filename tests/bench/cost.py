# SPDX-License-Identifier: GPL-2.0
"""
What traffic costs: processor time of processes, threads of the kernel included
that do their work for them, memory, and descriptors.
"""
import contextlib
import fcntl
import glob
import os

KSOFTIRQD = "SLUICE_BENCH_KSOFTIRQD"  # descriptors of the kernel's accounts, opened outside the sandbox


def open_kernel_accounts():
    """The kernel's own threads cannot be seen in a sandbox, but descriptors stay open."""
    descriptors = []
    for path in glob.glob("/proc/[0-9]*/comm"):
        with contextlib.suppress(OSError):
            with open(path) as comm:
                if not comm.read().startswith("ksoftirqd/"):
                    continue
            account = os.open(os.path.dirname(path) + "/schedstat", os.O_RDONLY)
            # high, as the shell on the way takes low ones; this one is inherited
            descriptors.append(str(fcntl.fcntl(account, fcntl.F_DUPFD, 100)))
            os.close(account)
    os.environ[KSOFTIRQD] = ",".join(descriptors)


def _first_number(text):
    return int(text.split()[0])


def processor_seconds(pids):
    """Used so far by these processes, all their threads, and ksoftirqd."""
    total = 0
    for pid in pids:
        for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
            with contextlib.suppress(OSError), open(path) as account:
                total += _first_number(account.read())
    for descriptor in filter(None, os.environ.get(KSOFTIRQD, "").split(",")):
        total += _first_number(os.pread(int(descriptor), 128, 0))
    return total / 1e9


def slab_bytes():
    """What is in use of the whole kernel's small objects: sockets, files and their like.
    Objects, not pages: what an earlier load has left behind free is used again."""
    total = 0
    with open("/proc/slabinfo") as slabs:
        for line in slabs.readlines()[2:]:
            _name, active, _all, size = line.split()[:4]
            total += int(active) * int(size)
    return total


def private_bytes(pids):
    """Memory that these processes do not share with others."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/smaps_rollup") as rollup:
            total += sum(int(line.split()[1]) << 10 for line in rollup if line.startswith("Pss:"))
    return total


def descriptors(pids):
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            total += len(os.listdir(f"/proc/{pid}/fd"))
    return total


def machine():
    """What the figures come from, and how busy it is with other things."""
    with open("/proc/cpuinfo") as cpuinfo:
        model = next((line.split(":")[1].strip() for line in cpuinfo
                      if line.startswith("model name")), "unknown")
    return {"kernel": os.uname().release, "architecture": os.uname().machine,
            "processors": os.cpu_count(), "model": model}


def busy_seconds():
    """Processor time of the whole machine that was not idle."""
    with open("/proc/stat") as stat:
        user, nice, system, _idle, _wait, irq, softirq = map(int, stat.readline().split()[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")

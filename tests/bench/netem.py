# SPDX-License-Identifier: GPL-2.0
"""
The emulated link by the kernel's netem, where there is one: a pair of virtual
devices, with the same addresses and options as wanem's. Segments are sent one by
one, as netem would lose whole super-packets.
"""
import contextlib
import json

import rig
import units

PACKET = 1500
QUEUE_MIN = 64 << 10  # bytes, as wanem's


def missing(namespace):
    """None, or why this kernel cannot do it."""
    done = namespace.run("tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms",
                         check=False)
    if done.returncode:
        return f"this kernel has no netem ({done.stderr.strip().splitlines()[0]})"
    namespace.run("tc", "qdisc", "del", "dev", "lo", "root")
    return None


def discipline(rate=None, delay="0ms", loss="0%"):
    """What tc(8) is told for one direction; the limit holds what flies and what waits."""
    words = ["netem", "delay", delay]
    if float(loss.rstrip("%")):
        words += ["loss", "random", loss]
    if rate:
        flying = units.rate(rate) / 8 * units.seconds(delay)
        queue = max(2 * flying, QUEUE_MIN)
        words += ["rate", rate, "limit", str(int((flying + queue) / PACKET))]
    return words


@contextlib.contextmanager
def link(near, far, addresses, rate=None, delay="0ms", loss="0%", seed=None):
    """The link stands in the block. Yields a dictionary, which has its counters afterwards.
    netem's losses are its own: the seed is not used."""
    del seed
    rig.Network.link(near, "far", far, "far")
    try:
        for namespace, address in (near, addresses[0]), (far, addresses[1]):
            namespace.ip(f"address add {address} dev far", "link set far gso_max_segs 1")
            namespace.run("tc", "qdisc", "add", "dev", "far", "root", *discipline(rate, delay, loss))
        counters = {"status": 0}
        yield counters
        for way, namespace in ("a_to_b", near), ("b_to_a", far):
            said = json.loads(namespace.run("tc", "-s", "-j", "qdisc", "show", "dev", "far").stdout)
            # netem does not tell losses from drops of a full queue
            counters[way] = {"losses": said[0]["drops"], "late_max_us": 0}
    finally:
        near.ip("link del far")

# SPDX-License-Identifier: GPL-2.0
"""
The emulator itself: how exact its round trip, rate and loss are, and how much it
can carry. What it cannot do, no WAN scenario may be believed in.
"""
import contextlib
import math
import os
import socket
import statistics
import sys
import time

import contenders
import sites
import traffic
import wan

RATES = 10, 100, 500, 1000  # Mbit/s
RTTS = 20, 100, 300  # ms
LOSSES = 0.01, 0.1, 1  # percent
PINGS = 20


class Emulator:
    """The group: one site, a plain server beyond the link."""

    def __init__(self, run, directory):
        self.run = run
        self.entrant = contenders.Entrant(contenders.Contender("wanem", "straight", "bbr"),
                                          sites.Site("e0", directory))
        self.entrant.serve()

    def race(self, seconds, quick):
        """Quick: one of each."""
        for rtt in RTTS[1:2] if quick else RTTS:
            self._note(f"round trip of {rtt} ms", self._round_trip, rtt)
        for rate in RATES[1:2] if quick else RATES:
            self._note(f"rate of {rate} Mbit/s", self._rate, rate, seconds)
        for loss in LOSSES[1:2] if quick else LOSSES:
            self._note(f"loss of {loss:g} %", self._loss, loss, seconds)
        self._note("no limit", self._ceiling, seconds)

    def _note(self, scenario, measure, *args):
        self.run.scenarios[scenario] = {"group": "emulator", "name": scenario}
        try:
            figures = measure(*args)
        except traffic.Failed as error:
            print(f"emulator: {scenario}: FAILED: {error}", file=sys.stderr)
            self.run.fail(scenario, "wanem", 0, error)
            return
        self.run.add(scenario, "wanem", 0, **figures)
        print(f"emulator: {scenario}: " + ", ".join(f"{name} {value:.5g}" for name, value
                                                    in figures.items()), file=sys.stderr)

    def _round_trip(self, rtt):
        """Datagrams there and back: milliseconds."""
        site, times = self.entrant.site, []
        with site.long_way(rtt=rtt / 1e3), \
                contextlib.closing(site.gateway.socket(socket.AF_INET, socket.SOCK_DGRAM)) as near, \
                contextlib.closing(site.remote.socket(socket.AF_INET, socket.SOCK_DGRAM)) as far:
            far.bind((sites.FAR.remote, 7))
            near.connect((sites.FAR.remote, 7))
            for _ in range(PINGS):
                start = time.monotonic()
                near.send(b"ping")
                text, peer = far.recvfrom(16)
                far.sendto(text, peer)
                near.recv(16)
                times.append((time.monotonic() - start) * 1e3)
        return {"median_ms": statistics.median(times), "most_ms": max(times)}

    def _stream(self, seconds, **options):
        """Gbit/s of payload that BBR gets through, and the link's counters."""
        with self.entrant.site.long_way(**options) as link:
            found = traffic.load(self.entrant.site.client, "transfer", sites.FAR.remote, down=1,
                                 seconds=f"{seconds}s", limit=f"{seconds + 20}s")
        return found, link

    def _rate(self, rate, seconds):
        """The link kept full: of its capacity in payload, without the first second."""
        found, link = self._stream(seconds + 1, rate=rate * 1e6, rtt=0.01)
        received = found["series"]["bytes"][20:20 * (seconds + 1)]
        share = sum(received) * 8 / (len(received) * 0.05) / (rate * 1e6)
        return {"share": share * wan.PACKET / wan.PAYLOAD, "late_max_ms": link.late_max * 1e3,
                "unfaithful": link.unfaithful}

    def _loss(self, loss, seconds):
        """How far the number of losses is from the expected, in standard deviations."""
        _, link = self._stream(seconds, rate=500e6, rtt=0.01, loss=loss / 100,
                               seed=os.getpid())
        sent, lost = link.sum("segments_in") - link.sum("queue_drops"), link.sum("losses")
        part = loss / 100
        return {"segments": sent, "lost": lost,
                "deviations": (lost - sent * part) / math.sqrt(sent * part * (1 - part))}

    def _ceiling(self, seconds):
        """No rate, no delay: what one processor's worth of emulator carries."""
        found, link = self._stream(seconds)
        return {"gbit": found["down"] * 8 / found["seconds"] / 1e9,
                "unfaithful": link.unfaithful}

    def close(self):
        self.entrant.close()

# SPDX-License-Identifier: GPL-2.0
"""
Many flows at once that do at random what flows can do: sizes, pauses, slow and
stopped readers, half-closes, resets. Every byte that arrives is compared with
what was sent, and every end with what the other side did.
"""
import contextlib
import random
import select
import socket
import time

from rig import reset

PERIOD = (1 << 20) - 3  # odd, so that a block that moved does not fit where it lands
NOISE = random.Random(7).randbytes(PERIOD) * 2
PATIENCE = 30  # seconds in which a flow has to get on


class Half:
    """One direction: what one side sends and the other reads."""

    def __init__(self, sender, reader, rng):
        self.sender, self.reader, self.rng = sender, reader, rng
        self.size = rng.choice((0, 1, rng.randrange(2000), rng.randrange(1 << 17),
                                rng.randrange(1 << 20), rng.randrange(1 << 23)))
        self.largest = rng.choice((1, 100, 5000, 1 << 17, 1 << 18))  # one send or read, at most
        self.laziness = rng.choice((0, 0, 0.001, 0.02, 0.2))  # seconds between reads, at most
        if self.largest < 5000 or self.laziness > 0.01:
            self.size = min(self.size, (20 if self.laziness > 0.01 else 2000) * self.largest)
        self.seed = rng.randrange(PERIOD)
        self.sent = self.read = 0
        self.shut = self.ended = False
        self.next_send = self.next_read = 0.0

    def _at(self, place, count):
        start = (place + self.seed) % PERIOD
        return NOISE[start:start + count]

    def send(self, now):
        if self.sent == self.size:
            self.sender.shutdown(socket.SHUT_WR)
            self.shut = True
            return
        count = min(self.rng.randint(1, self.largest), self.size - self.sent, PERIOD)
        with contextlib.suppress(BlockingIOError):
            self.sent += self.sender.send(self._at(self.sent, count))
        if self.rng.random() < 0.02:
            self.next_send = now + self.rng.random() * 0.05

    def receive(self, now):
        try:
            part = self.reader.recv(self.rng.randint(1, self.largest) if self.laziness
                                    else 1 << 18)
        except BlockingIOError:
            return
        if not part:
            assert self.shut and self.read == self.size, \
                f"an end after {self.read} bytes of {self.size} (all sent: {self.shut})"
            self.ended = True
            return
        place = 0
        while place < len(part):  # what the kernel coalesced can be longer than a period
            piece = part[place:place + PERIOD]
            assert piece == self._at(self.read, len(piece)), \
                f"wrong bytes from {self.read} on, of {self.size}"
            self.read += len(piece)
            place += len(piece)
        assert self.read <= self.sent, "more bytes than were sent"
        self.next_read = now + self.rng.random() * self.laziness


class Flow:
    """A connection with its plan: two halves, and perhaps a reset on the way."""

    def __init__(self, near, far, rng):
        near.setblocking(False)
        far.setblocking(False)
        if rng.random() < 0.5:
            for sock in near, far:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.near, self.far = near, far
        self.halves = (Half(near, far, rng), Half(far, near, rng))
        total = sum(half.size for half in self.halves)
        self.reset_after = rng.randrange(total + 1) if rng.random() < 0.25 else None
        self.resetter = rng.choice((near, far))
        self.moved = (time.monotonic(), 0)  # when bytes came last, and how many had by then
        self.waiting = None  # the side that has yet to see the other's reset
        self.over = None  # "closed" or "reset"

    def wants(self, now):
        """(socket, poll events) of what can be done now."""
        if self.waiting:
            yield self.waiting, select.POLLIN
            return
        for half in self.halves:
            if not half.shut and half.next_send <= now:
                yield half.sender, select.POLLOUT
            if not half.ended and half.next_read <= now:
                yield half.reader, select.POLLIN

    def _await_reset(self):
        """Bytes may come first, an end only where all was there before the reset."""
        half = self.halves[0] if self.waiting is self.far else self.halves[1]
        try:
            for _ in range(64):
                if not half.ended:
                    half.receive(0)
                else:
                    self.waiting.recv(1)
                    self.waiting.send(b"?")  # what was finished both ways may be forgotten
        except BlockingIOError:
            return
        except (ConnectionResetError, BrokenPipeError):
            self.over = "reset"
            self.waiting.close()

    def act(self, now):
        came = sum(half.read + half.ended for half in self.halves)
        if came != self.moved[1]:
            self.moved = (now, came)
        assert now - self.moved[0] < PATIENCE, \
            f"stuck: {[(h.sent, h.read, h.size, h.shut, h.ended) for h in self.halves]}" \
            f"{', a reset does not arrive' if self.waiting else ''}"
        if self.waiting:
            self._await_reset()
            return
        if self.reset_after is not None and \
                sum(half.read for half in self.halves) >= self.reset_after and \
                not all(half.ended for half in self.halves):
            self.waiting = self.far if self.resetter is self.near else self.near
            reset(self.resetter)
            return
        for half in self.halves:
            if not half.shut and half.next_send <= now:
                half.send(now)
            if not half.ended and half.next_read <= now:
                half.receive(now)
        if all(half.ended for half in self.halves):
            self.over = "closed"
            self.near.close()
            self.far.close()


def run(connect, count, seconds, seed):
    """Keeps count flows going for so long, then lets them end. connect() gives both
    sockets of a new one. How many ended each way, and how many bytes arrived."""
    rng = random.Random(seed)
    ended = {"closed": 0, "reset": 0, "bytes": 0}
    flows = []
    stop = time.monotonic() + seconds
    while flows or time.monotonic() < stop:
        while len(flows) < count and time.monotonic() < stop:
            flows.append(Flow(*connect(), random.Random(rng.random())))
        now = time.monotonic()
        poll = select.poll()
        wanted = {}
        for flow in flows:
            for sock, events in flow.wants(now):
                wanted[sock.fileno()] = wanted.get(sock.fileno(), 0) | events
        for descriptor, events in wanted.items():
            poll.register(descriptor, events)
        ready = {descriptor for descriptor, _ in poll.poll(5)}
        now = time.monotonic()
        for flow in flows:
            if flow.waiting or any(half.sender.fileno() in ready for half in flow.halves):
                flow.act(now)
            if flow.over:
                ended[flow.over] += 1
                ended["bytes"] += sum(half.read for half in flow.halves)
        flows = [flow for flow in flows if not flow.over]
    return ended

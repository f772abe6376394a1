# SPDX-License-Identifier: GPL-2.0
"""
Headless Chromium in a namespace, driven by the DevTools protocol over two pipes
(each message is JSON that ends with a NUL byte; --remote-debugging-pipe).
"""
import base64
import fcntl
import json
import os
import select
import shutil
import sys
import tempfile
import time

PROGRAMS = ("chromium-headless-shell", "chromium")
ANSWER_SECONDS = 60  # a busy machine takes its time to start a browser
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--disable-dev-shm-usage", "--hide-scrollbars", "--force-device-scale-factor=1",
         "--remote-debugging-pipe")


def missing():
    """None, or why no page can be looked at."""
    if any(shutil.which(program) for program in PROGRAMS):
        return None
    return "no headless Chromium: tests/install-packages browser"


class Browser:
    """One browser with one page. Use it in a with block."""

    def __init__(self, namespace):
        self._number = 0
        self._buffer = b""
        self._session = None
        self.events = []  # all that the page has told: {"method", "params"}
        self._profile = tempfile.mkdtemp(prefix="sluice-browser-")
        theirs_in, self._to = os.pipe()
        self._from, theirs_out = os.pipe()
        program = next(filter(shutil.which, PROGRAMS))
        self.process = namespace.spawn(
            "/usr/bin/python3", "-B", __file__, theirs_in, theirs_out, program, *FLAGS,
            f"--user-data-dir={self._profile}", pass_fds=(theirs_in, theirs_out))
        os.close(theirs_in)
        os.close(theirs_out)

    def __enter__(self):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target,
                                  flatten=True)["sessionId"]
        for domain in "Page", "Runtime", "Log", "Network":
            self.call(f"{domain}.enable")
        return self

    def __exit__(self, *_):
        self.process.end()
        os.close(self._to)
        os.close(self._from)
        shutil.rmtree(self._profile, ignore_errors=True)

    def _receive(self, seconds):
        """The next message, or None when there is none for so long."""
        end = time.monotonic() + seconds
        while b"\0" not in self._buffer:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self._from], [], [], left)[0]:
                return None
            part = os.read(self._from, 1 << 20)
            assert part, f"the browser is gone:\n{self.process.output()}"
            self._buffer += part
        message, _, self._buffer = self._buffer.partition(b"\0")
        message = json.loads(message)
        if "method" in message:
            self.events.append(message)
        return message

    def call(self, method, **params):
        """A command and its result."""
        self._number += 1
        command = {"id": self._number, "method": method, "params": params}
        if self._session:
            command["sessionId"] = self._session
        os.write(self._to, json.dumps(command).encode() + b"\0")
        while True:
            message = self._receive(ANSWER_SECONDS)
            assert message, f"no answer to {method} within {ANSWER_SECONDS} s"
            if message.get("id") == self._number:
                assert "error" not in message, f"{method}: {message['error']}"
                return message["result"]

    def told(self, method):
        """What of one kind the page has told until now."""
        while self._receive(0):
            pass
        return [event["params"] for event in self.events if event["method"] == method]

    # ---- a page ----

    def look(self, width, height, dark=False, scale=1, mobile=False):
        """As what it is shown: a screen's size in CSS pixels, and what its user prefers."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=scale, mobile=mobile)
        self.call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def open(self, url):
        self.call("Page.navigate", url=url)
        self.wait("document.readyState == 'complete'")

    def evaluate(self, expression):
        """The value of an expression of JavaScript in the page."""
        done = self.call("Runtime.evaluate", expression=expression, returnByValue=True,
                         awaitPromise=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def wait(self, expression, seconds=30):
        """Until the expression is true; its value."""
        end = time.monotonic() + seconds
        while not (value := self.evaluate(expression)):
            assert time.monotonic() < end, f"not within {seconds} s: {expression}"
            self.told("")
            time.sleep(0.05)
        return value

    def screenshot(self, path, whole=True):
        """PNG of the page, by default of all that can be scrolled to."""
        picture = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        with open(path, "wb") as out:
            out.write(base64.b64decode(picture["data"]))


if __name__ == "__main__":  # browser.py READ WRITE PROGRAM...: the pipes become 3 and 4
    # copies above 9 first, so that neither of the two is in the other's way
    reads, writes = (fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3])
    os.dup2(reads, 3)
    os.dup2(writes, 4)
    os.execvp(sys.argv[3], sys.argv[3:])

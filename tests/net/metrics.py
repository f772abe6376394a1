# SPDX-License-Identifier: GPL-2.0
"""Asking the gateway's metrics server, and reading what it answers."""
import http.client
import json
import re

from rig import SOCKET_TIMEOUT

PORT = 7472
SAMPLE = re.compile(r'(\w+)(?:\{(.*)\})? (\S+)\n')
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)",?')


def metrics(listen=f"127.0.0.1:{PORT}", public=False):
    """Configuration: the metrics server."""
    return f'metrics {{ listen = "{listen}"{" public = true" if public else ""} }}\n'


class Answer:
    """What came back: status, headers (lower case) and text."""

    def __init__(self, response):
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.text = response.read().decode()


def ask(gateway, path="/metrics", method="GET", headers=None, port=PORT, address="127.0.0.1",
        namespace=None):
    """One request from within a namespace, by default the gateway's own."""
    with (namespace or gateway.namespace).entered():
        connection = http.client.HTTPConnection(address, port, timeout=SOCKET_TIMEOUT)
        connection.connect()
    try:
        connection.request(method, path, headers=headers or {})
        return Answer(connection.getresponse())
    finally:
        connection.close()


def parse(text):
    """{(name, frozenset of (label, value)): number} of Prometheus's text format."""
    samples = {}
    for line in text.splitlines(keepends=True):
        if line.startswith("#"):
            continue
        match = SAMPLE.fullmatch(line)
        assert match, f"no sample: {line!r}"
        key = match[1], frozenset(LABEL.findall(match[2] or ""))
        assert key not in samples, f"twice: {line!r}"
        samples[key] = float(match[3])
    return samples


class Scrape:
    """All samples of one scrape."""

    def __init__(self, gateway, **where):
        answer = ask(gateway, **where)
        assert answer.status == 200, answer.text
        self.text = answer.text
        self.samples = parse(answer.text)

    def names(self):
        return {name for name, _ in self.samples}

    def value(self, name, **labels):
        """The one sample of a name that has these labels, or None."""
        found = [value for (other, has), value in self.samples.items()
                 if other == name and labels.items() <= dict(has).items()]
        assert len(found) <= 1, f"{len(found)} samples of {name} {labels}"
        return found[0] if found else None

    def sum(self, name, **labels):
        return sum(value for (other, has), value in self.samples.items()
                   if other == name and labels.items() <= dict(has).items())


def status(gateway, **where):
    """What the status page reads."""
    answer = ask(gateway, "/status.json", **where)
    assert answer.status == 200, answer.text
    return json.loads(answer.text)

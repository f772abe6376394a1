# SPDX-License-Identifier: GPL-2.0
"""Real programs move real data: what arrives is what was sent, and memory stays bounded."""
import os
import pwd
import shutil
import socket
import subprocess
import time

import pytest

from gateway import serve
from peer import (Stream, Task, carry, file_digest, receive_digest, send_stream, send_until_stuck)
from rig import FAMILIES, receive_all, resident_bytes, socket_bytes, wait_for

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
pytestmark = pytest.mark.engines
SIZES = {"1KiB": KIB, "10MiB": 10 * MIB, "1GiB": GIB}

NGINX = """
daemon off;
user root;
worker_processes 1;
pid {directory}/nginx.pid;
error_log stderr;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    sendfile on;
    client_body_temp_path {directory}/body;
    client_max_body_size 2g;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen 80 backlog=1024;
        listen [::]:80 backlog=1024;
        root {directory}/files;
        location /put/ {{
            root {directory};
            dav_methods PUT;
        }}
    }}
}}
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A directory with a file of each size."""
    directory = tmp_path_factory.mktemp("web")
    (directory / "files").mkdir()
    (directory / "put").mkdir()
    for name, size in SIZES.items():
        Stream(size, seed=size & 0xFFFF).write(directory / "files" / name)
    Stream(200 * KIB).write(directory / "files" / "200KiB")
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def digests(files):
    return {name: file_digest(files / "files" / name) for name in SIZES}


@pytest.fixture(scope="module")
def nginx(net, files):
    """nginx on the remote's port 80; the directory it serves, and takes PUT into."""
    config = files / "nginx.conf"
    config.write_text(NGINX.format(directory=files))
    net.remote.spawn("nginx", "-c", config, "-e", "stderr", "-p", files)
    for family in FAMILIES:
        wait_for(lambda f=family: net.remote.accepts(f, f.remote, 80), "nginx listens")
    return files


def curl(net, *argv):
    return net.client.run("curl", "--silent", "--show-error", "--fail", "--globoff", *argv,
                          timeout=100)


@pytest.mark.parametrize("size", [
    "1KiB", pytest.param("10MiB", marks=pytest.mark.smoke), "1GiB"])
def test_a_download_arrives_as_it_was(net, nginx, digests, gateway, family, size, tmp_path):
    gateway.start(serve(80))
    with gateway.counting(joined=1, closed=1):
        curl(net, "-o", tmp_path / "got", f"http://{family.host(family.remote)}/{size}")
    assert os.path.getsize(tmp_path / "got") == SIZES[size]
    assert file_digest(tmp_path / "got") == digests[size]
    os.unlink(tmp_path / "got")


@pytest.mark.parametrize("size", SIZES)
def test_an_upload_arrives_as_it_was(net, nginx, digests, gateway, family, size):
    gateway.start(serve(80))
    target = nginx / "put" / size
    target.unlink(missing_ok=True)
    with gateway.counting(joined=1, closed=1):
        curl(net, "-T", nginx / "files" / size,
             f"http://{family.host(family.remote)}/put/{size}")
    assert os.path.getsize(target) == SIZES[size]
    assert file_digest(target) == digests[size]
    target.unlink()


@pytest.mark.smoke
def test_200_flows_at_once_arrive_as_they_were(net, nginx, gateway, family, tmp_path):
    gateway.start(serve(80))
    urls = tmp_path / "urls"
    urls.write_text("".join(f'url = "http://{family.host(family.remote)}/200KiB?{n}"\n'
                            f'output = "{tmp_path}/got-{n}"\n' for n in range(200)))
    with gateway.counting(joined=200, closed=200):
        curl(net, "--http1.0", "--parallel", "--parallel-immediate", "--parallel-max", "200",
             "--config", urls)
    want = file_digest(nginx / "files" / "200KiB")
    assert {file_digest(tmp_path / f"got-{n}") for n in range(200)} == {want}


@pytest.fixture(scope="module")
def sshd(net, tmp_path_factory):
    """An sshd of our own on the remote's port 2222; the ssh command that logs in."""
    directory = tmp_path_factory.mktemp("ssh")
    for key in "host", "user":
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", directory / key],
                       check=True)
    (directory / "config").write_text(f"""
HostKey {directory}/host
AuthorizedKeysFile {directory}/user.pub
StrictModes no
PermitRootLogin yes
PasswordAuthentication no
UsePAM no
PidFile none
""")
    os.makedirs("/run/sshd", mode=0o755, exist_ok=True)  # in the sandbox's own /run
    net.remote.spawn("/usr/sbin/sshd", "-D", "-e", "-f", directory / "config", "-p", "2222")
    for family in FAMILIES:
        wait_for(lambda f=family: net.remote.accepts(f, f.remote, 2222), "sshd listens")
    return ["ssh", "-F", "none", "-p", "2222", "-i", str(directory / "user"), "-o", "BatchMode=yes",
            "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
            "-o", "LogLevel=ERROR"]

def tree_digests(root):
    return {os.path.relpath(os.path.join(where, name), root):
            file_digest(os.path.join(where, name))
            for where, _, names in os.walk(root) for name in names}


def test_rsync_over_ssh_copies_a_tree(net, sshd, gateway, family, tmp_path):
    gateway.start(serve(2222))
    for number in range(120):
        where = tmp_path / "tree" / str(number % 7)
        where.mkdir(parents=True, exist_ok=True)
        Stream(number * 4321, seed=number).write(where / f"file-{number}")
    user = pwd.getpwuid(os.getuid()).pw_name
    there = f"{user}@{family.host(family.remote)}:{tmp_path}/copy/"
    with gateway.counting(joined=2, closed=2):
        for source, target in ((f"{tmp_path}/tree/", there), (there, f"{tmp_path}/back/")):
            net.client.run("rsync", "-a", "-e", " ".join(sshd), source, target)
    assert tree_digests(tmp_path / "copy") == tree_digests(tmp_path / "tree")
    assert tree_digests(tmp_path / "back") == tree_digests(tmp_path / "tree")


@pytest.fixture(scope="module")
def redis(net, tmp_path_factory):
    """redis-server on the remote's port 6379."""
    net.remote.spawn("redis-server", "--port", "6379", "--save", "", "--protected-mode", "no",
                     "--dir", tmp_path_factory.mktemp("redis"),
                     "--bind", *(family.remote for family in FAMILIES))
    for family in FAMILIES:
        wait_for(lambda f=family: net.remote.accepts(f, f.remote, 6379), "redis listens")


def test_a_redis_pipeline_is_answered_in_order(net, redis, gateway, family):
    gateway.start(serve(6379))
    cli = ["redis-cli", "-h", family.remote]
    with gateway.counting(joined=2, closed=2):
        sets = "".join(f"SET {family}-{n} value-{n}\r\n" for n in range(20000))
        answer = net.client.run(*cli, "--pipe", input=sets).stdout
        assert "errors: 0, replies: 20000" in answer
        gets = "".join(f"GET {family}-{n}\n" for n in range(20000))
        got = net.client.run(*cli, input=gets).stdout.split()
        assert got == [f"value-{n}" for n in range(20000)]


def test_a_redis_subscriber_hears_after_it_was_idle(net, redis, gateway, family):
    gateway.start(serve(6379))
    subscriber = net.client.spawn("redis-cli", "-h", family.remote, "SUBSCRIBE", "news",
                                  stdout=subprocess.PIPE, text=True)
    heard = Task(lambda: [subscriber.popen.stdout.readline().strip() for _ in range(6)])

    def publish(text):
        return net.remote.run("redis-cli", "-h", family.remote, "PUBLISH", "news",
                              text).stdout.strip()

    def subscribers():
        return net.remote.run("redis-cli", "-h", family.remote, "PUBSUB", "NUMSUB",
                              "news").stdout.split()[-1]

    wait_for(lambda: subscribers() == "1", "the subscription reaches redis")
    time.sleep(2)  # what is tested: nothing is said for a while
    assert publish("it rains") == "1"
    assert heard.result(10) == ["subscribe", "news", "1", "message", "news", "it rains"]


# What a gateway may hold of one flow: buffers of both legs, pipes or credit.
# The stream is many times larger, so a gateway without a bound shows.
HELD_MOST = 128 * MIB
STREAM = Stream(512 * MIB, seed=9)


@pytest.mark.parametrize("direction", ["upload", pytest.param("download", marks=pytest.mark.smoke)])
def test_a_reader_that_stops_stops_the_sender(net, gateway, family, direction):
    gateway.start(serve(5000))
    near, far = net.connection(family, 5000)
    assert gateway.took(far, family)
    sender, reader = (near, far) if direction == "upload" else (far, near)
    blocks = iter(STREAM)
    sent, rest = send_until_stuck(sender, blocks, stuck_for=5, most=STREAM.size)
    assert sent <= HELD_MOST, f"{sent >> 20} MiB were taken from the sender, none was read"
    assert socket_bytes(net.gateway) <= HELD_MOST
    if not gateway.straight:
        for pid in (gateway.process.pid, *gateway.relays()):
            assert resident_bytes(pid) <= HELD_MOST, f"process {pid} has grown"

    def send_rest():
        sender.sendall(rest)
        for block in blocks:
            sender.sendall(block)
        sender.shutdown(socket.SHUT_WR)

    sending = Task(send_rest)
    assert receive_digest(reader) == (STREAM.size, STREAM.digest())
    sending.result()


def test_both_directions_at_once_arrive_as_they_were(net, gateway, family):
    gateway.start(serve(5000))
    near, far = net.connection(family, 5000)
    assert gateway.took(far, family)
    up, down = Stream(64 * MIB, seed=3), Stream(64 * MIB, seed=4)
    tasks = [Task(send_stream, near, up), Task(send_stream, far, down)]
    there, here = Task(receive_digest, far), Task(receive_digest, near)
    assert there.result() == (up.size, up.digest())
    assert here.result() == (down.size, down.digest())
    for task in tasks:
        task.result()


def test_bytes_that_come_with_the_handshake_come_first(net, gateway, family):
    """What either side says at once, before the flow is joined, is neither lost nor moved."""
    gateway.start(serve(5000))
    with net.remote.listen(family, family.remote, 5000) as listener:
        for number in range(20):
            near = net.client.connect(family, family.remote, 5000)
            near.sendall(b"hello from the client")
            far, _ = listener.accept()
            assert gateway.took(far, family)
            far.sendall(b"hello from the remote")
            near.sendall(b", still the client %d" % number)
            far.sendall(b", still the remote %d" % number)
            near.shutdown(socket.SHUT_WR)
            far.shutdown(socket.SHUT_WR)
            assert receive_all(far) == b"hello from the client, still the client %d" % number
            assert receive_all(near) == b"hello from the remote, still the remote %d" % number
            near.close()
            far.close()


@pytest.mark.intercepts
def test_a_path_with_a_smaller_mtu_on_the_lan_is_adapted_to(net, nginx, digests, gateway, family,
                                                           tmp_path):
    """The ICMP error of a router between client and gateway reaches the LAN leg."""
    gateway.start(serve(80))
    with net.behind_small_mtu(1300) as inner, gateway.counting(joined=1, icmp_to_leg=(1,)):
        inner.run("curl", "--silent", "--show-error", "--fail", "--globoff", "--max-time", "30",
                  "-o", tmp_path / "got", f"http://{family.host(family.remote)}/10MiB")
    assert file_digest(tmp_path / "got") == digests["10MiB"]


@pytest.mark.intercepts
@pytest.mark.parametrize("source", ["gateway", "client"])
def test_a_path_with_a_smaller_mtu_on_the_wan_is_adapted_to(net, gateway, family, source):
    """The ICMP error reaches the WAN leg, also when the leg has the client's address."""
    gateway.start(serve(5000, source=source))
    with net.small_wan_mtu(1300), gateway.counting(joined=1):
        near, far = net.connection(family, 5000)
        carry(near, far, 10 * MIB)
        carry(far, near, 10 * MIB)

# SPDX-License-Identifier: GPL-2.0
"""
A stranger with the package file and its manual gets an accelerated download.
Everything that is typed comes from the pages that the package has installed.
"""
import gzip
import os

import rig
from host import package
from pages import example_blocks
from steps import Website, commands, copy_key, in_place


def installed_page(tmp_path, page):
    """The roff of a page of the package."""
    tree = tmp_path / "package"
    if not tree.exists():
        rig.run("dpkg-deb", "--extract", package(), tree)
    path = tree / "usr/share/man" / f"man{page[-1]}" / f"{page}.gz"
    with gzip.open(path, "rt", encoding="utf-8") as roff:
        return roff.read()


def test_two_configurations_from_the_manual_make_a_download_fast(net, hosts, tmp_path):
    """sluiced(8), EXAMPLES, from the first line to the last."""
    make_key, on_gateway, on_remote, look = example_blocks(installed_page(tmp_path, "sluiced.8"))
    gateway_conf = example_blocks(installed_page(tmp_path, "sluice-gateway.conf.5"))[0]
    agent_conf = example_blocks(installed_page(tmp_path, "sluice-agent.conf.5"))[0]
    gateway, remote = hosts(net.gateway), hosts(net.remote)
    for machine in gateway, remote:
        machine.install()

    for command in commands(make_key):
        gateway.shell(command)
    copy_key(gateway, remote, "/etc/sluice/site-b.key")
    gateway.write("/etc/sluice/gateway.conf", in_place(gateway_conf))
    remote.write("/etc/sluice/agent.conf", in_place(agent_conf))
    for machine, block in (gateway, on_gateway), (remote, on_remote):
        for command in commands(block):
            done = machine.shell(command, check=False)
            assert done.returncode == 0, (command, done.stderr, machine.journal("sluice*"))
    show_proxies, show_flows = commands(look)
    rig.wait_for(lambda: rig.IPV4.remote in gateway.shell(show_proxies).stdout,
                 f"the remote is registered; the agent says {remote.journal('sluice-agent')}")

    website = tmp_path / "website"
    os.mkdir(website)
    flows, controls = Website(net, remote, website).download(gateway)
    assert show_flows == "sluice show flows"
    assert f"{rig.IPV4.remote}:80" in flows and rig.IPV4.client in flows
    # not from the client's address any more, and at the rate that is reserved
    assert rig.IPV4.wan in controls and " linkrate " in controls, controls
    assert remote.is_active("sluice-agent") and gateway.is_active("sluiced")

# SPDX-License-Identifier: GPL-2.0
"""What TESTS= asks for, as commands to run in a virtual machine."""
import os
import re

# What tells most in the least time, besides net/kernel: `quick` must end in minutes where
# the processor is emulated and the host is busy.
TELLING = (
    "net/connect::test_a_closed_port_is_refused_at_once",
    "net/connect::test_the_syn_is_answered_only_after_the_remote_accepted",
    "net/interception::test_a_port_that_is_served_is_taken_and_another_is_forwarded",
    "net/interception::test_a_flow_older_than_its_entry_goes_on_untouched",
    "net/close::test_the_client_may_finish_first",
    "net/fault::test_a_daemon_killed_under_load_does_not_black_hole_the_lan",
    "net/operate::test_sigterm_lets_running_flows_finish_and_leaves_nothing",
    "net/params::test_source_client_shows_the_remote_the_client",
    "net/registration::test_a_registered_service_is_taken_and_shown",
    "net/transfer::test_200_flows_at_once_arrive_as_they_were",
)
# What many machines' own kernels lack: a path manager, devices, BPF functions to replace.
ELSEWHERE = (
    "net/parallel::test_both_ends_have_as_many_connections_as_were_asked_for",
    "net/interception::test_a_vlan_on_the_lan_interface_is_served_by_its_parent",
    "net/doctor::test_tags_of_vlans_that_xdp_cannot_see",
    "net/xdp::test_another_program_on_the_interface_survives_ours",
    "net/xdp::test_another_program_may_come_and_go_while_ours_is_there",
)
# Words that stand for others.
WORDS = {
    "all": ("unit", "packet", "net", "fallback", "wan"),
    "some": ("quick", *ELSEWHERE, "fallback", "wan"),
    "quick": ("packet", "net/kernel", *TELLING),
}
# The WAN scenarios' quick version: one file each way over a link that emulation keeps up with.
WAN = ("--link", "netem", "--link", "wanem", "--rate", "10", "--size", "2000000", "--rtt", "0.1",
       "--loss", "0.001", "--rounds", "1", "--only", "cubic, straight", "--only", "bbr",
       "--only", "linkrate, skip-slow-start")
# As on a kernel with faulty sockmaps: asked for the kernel engine, flows end on splice, by
# whichever way they came in.
FALLBACK = ("env", "SLUICE_SELF_TEST=fail", "tests/run", "net", "--engine=kernel",
            "--intercept=tc", "tests/net/test_kernel.py", "tests/net/test_close.py", "-k",
            "allows or finish or reset")
# Seconds that a step may take, on a machine as fast as the host.
SECONDS = {"unit": 300, "packet": 300, "net": 1500, "smoke": 400, "fallback": 600,
           "wan": 300}


class Mistake(Exception):
    """A word in TESTS that means nothing; says what does."""


def expand(words):
    for word in words:
        yield from expand(WORDS[word]) if word in WORDS else (word,)


def step(name, command, seconds):
    return {"name": name, "folder": re.sub(r"[^\w]+", "-", name), "command": command,
            "seconds": seconds}


def part_of(word, source):
    """(part, what of it) of a word like net/close::test_x."""
    part, _, rest = word.partition("/")
    if part not in ("unit", "packet", "net"):
        known = ", ".join(["unit", "packet", "net", "smoke", "fallback", "wan", *WORDS])
        raise Mistake(f'TESTS: "{word}" is not known, expected {known}, or one test file such as '
                      "net/close or packet/syn")
    if rest:
        name = rest.split("::")[0].split("/")[0]
        path = os.path.join("tests", part, f"test_{name}." + ("py" if part == "net" else "c"))
        if not os.path.exists(os.path.join(source, path)):
            raise Mistake(f'TESTS: "{word}": there is no {path}')
    return part, rest


def steps(words, source, build, patience):
    """The steps for these words; those of net that name files are one."""
    result, files = {}, []
    for word in expand(words):
        if word == "wan":
            times = os.path.join(build, "test-results", "wan.json")
            result[word] = step(word, ["tests/sandbox", "tests/bench/wan_transfer", *WAN,
                                       "--json", times], SECONDS["wan"])
        elif word == "smoke":
            result[word] = step(word, ["tests/run", "net", "-m", "smoke"], SECONDS["smoke"])
        elif word == "fallback":
            result[word] = step(word, list(FALLBACK), SECONDS["fallback"])
        else:
            part, rest = part_of(word, source)
            if part == "net" and rest:
                name, _, test = rest.partition("::")
                files.append(f"tests/net/test_{name}.py" + (f"::{test}" if test else ""))
                continue
            pattern = [f"--filter={rest if '/' in rest else rest + '/*'}"] if rest else []
            result[word] = step(word, ["tests/run", part, *pattern], SECONDS[part])
    if files:
        files = list(dict.fromkeys(files))
        names = dict.fromkeys(re.match(r".*/test_(\w+)\.py", file)[1] for file in files)
        name = "net: " + ", ".join(names)
        result[name] = step(name, ["tests/run", "net", *files], SECONDS["net"])
    for one in result.values():
        one["seconds"] = int(one["seconds"] * patience)
    return list(result.values())

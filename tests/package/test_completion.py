# SPDX-License-Identifier: GPL-2.0
"""What bash and zsh offer is what the programs have."""
import contextlib
import os
import pty
import re
import select
import shlex
import time

import pytest

from pages import BUILD, SOURCE, config_keys, help_options, verb_forms
from rig import run

COMPLETION = f"{SOURCE}/user/completion"
ENVIRONMENT = {**os.environ, "PATH": f"{BUILD}/bin:{os.environ['PATH']}", "TERM": "dumb"}


def bash(line):
    """What bash offers at the end of a line, as words of their own."""
    script = f"""\
compopt() {{ :; }}
COMP_WORDBREAKS=$' \\t\\n"\\'><=;|&(:'
. {COMPLETION}/sluice.bash
COMP_LINE={shlex.quote(line)} COMP_POINT={len(line)}
"$(complete -p {line.split()[0]} | sed 's/.*-F \\([^ ]*\\) .*/\\1/')" {line.split()[0]}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    return set(run("bash", "-c", script, env=ENVIRONMENT).stdout.split("\n")) - {""}


def zsh(line):
    """What zsh, on a terminal, hands to its own completion for a line."""
    setup = f"""\
fpath=({COMPLETION} $fpath); autoload -Uz compinit; compinit -u -D; zstyle ':completion:*' menu no
compadd() {{
    local -a found
    [[ " $* " == *" -D "* || " $* " == *" -O "* ]] || {{
        builtin compadd -A found "$@"; (( $#found )) && print -rl -- hit.${{^found}}.tih >>$HITS
    }}
    builtin compadd "$@"
}}
PS1=re''ady
"""
    hits = os.path.join(os.environ["TMPDIR"], "hits")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(hits)
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(ENVIRONMENT, HITS=hits)
        os.execvp("zsh", ["zsh", "-f", "-i"])
    try:
        for text, answer in (setup, "ready"), (line + "\t", None):
            os.write(terminal, text.encode())
            _read_until(terminal, answer, hits)
        with open(hits) as found:
            return set(re.findall(r"hit\.(.*)\.tih", found.read()))
    except FileNotFoundError:
        return set()
    finally:
        os.close(terminal)
        os.waitpid(pid, 0)


def _read_until(terminal, answer, hits):
    """Until the terminal shows answer; without one, until zsh has offered and is quiet."""
    shown, end = "", time.monotonic() + 20
    while time.monotonic() < end:
        if select.select([terminal], [], [], 0.5)[0]:
            shown += os.read(terminal, 65536).decode(errors="replace")
        elif answer is None and os.path.exists(hits):
            return
        if answer and answer in shown:
            return
    assert answer is None, f"zsh does not say {answer!r}: {shown[-500:]!r}"


SHELLS = pytest.mark.parametrize("shell", [bash, zsh], ids=["bash", "zsh"])


@SHELLS
def test_every_verb_is_offered(shell):
    assert shell("sluice ") == set(verb_forms()) - {"complete"}


@SHELLS
@pytest.mark.parametrize("program", ["sluice", "sluiced", "sluice-agent"])
def test_every_option_is_offered(shell, program):
    offered = {option.rstrip("=") for option in shell(f"{program} --")}
    assert offered == {option.split(" ")[0] for option in help_options(program)
                       if option.startswith("--")}


@SHELLS
def test_every_parameter_is_offered(shell):
    parameters = config_keys("gateway")["params"]
    assert shell("sluice add 203.0.113.9 80 ") == {"nexthop"} | {f"{key}=" for key in parameters}


@SHELLS
def test_nouns_and_values_are_offered(shell):
    nouns = {"status", "proxies", "ports", "params", "flows", "counters", "flow"}
    assert shell("sluice show ") == nouns
    offered = shell("sluice add 203.0.113.9 80 qos=")
    # bash goes on after the equals sign, where readline has cut the word
    assert {word.removeprefix("qos=") for word in offered} - {"nexthop"} == {
        "ubr", "cbr", "vbr", "abr"}


@SHELLS
def test_an_interface_is_offered(shell):
    assert "lo" in shell("sluice attach ")


def test_names_of_all_usages_are_known():
    """A verb's usage that has a new NAME would offer nothing for it."""
    with open(f"{SOURCE}/user/cli/complete_name.c") as code:
        known = set(re.findall(r'\{ "([A-Z:=]+)", offer_', code.read()))
    # numbers and texts of any kind; the completion's own
    own = {"PORT[:TRUNK]", "COUNT", "SECONDS", "TEXT", "[WORD"}
    for forms in verb_forms().values():
        for form in forms:
            for word in form.split()[1:]:
                name = word if word in own else word.removesuffix("[:PORT]").strip("[]")
                assert not re.match(r"[A-Z]", name) or name in known or name in own, form

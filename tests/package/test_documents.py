# SPDX-License-Identifier: GPL-2.0
"""Programs, --help, manual pages and other documents say the same."""
import glob
import os
import re
import subprocess

import pytest

from pages import (BUILD, MAN, PAGES, SOURCE, config_keys, example_blocks, help_options, sections,
                   terms, text, verb_forms)
from rig import run

PROGRAMS = {"sluiced": "gateway", "sluice": "cli", "sluice-agent": "agent"}


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_option_is_in_help_and_manual(program):
    with open(f"{SOURCE}/user/{PROGRAMS[program]}/main.c") as code:
        # getopt's table, or sluice's own of which getopt's is made
        known = set(re.findall(r'\{ "([a-z-]+)",\s*(?:no_arg|required_arg|\'|0,)', code.read()))
    options = help_options(program)
    assert known == {option[2:].split(" ")[0] for option in options if option.startswith("--")}
    assert set(terms(sections(text(f"{program}.8"))["OPTIONS"])) == options


def test_every_verb_is_in_the_manual():
    forms = {form for forms in verb_forms().values() for form in forms}
    assert set(terms(sections(text("sluice.8"))["VERBS"])) == forms


@pytest.mark.parametrize("side", ["gateway", "agent"])
def test_every_key_is_in_the_manual(side):
    """A section of the file is a heading of the page, its keys are in the table there."""
    keys = config_keys(side)
    page = sections(text(f"sluice-{side}.conf.5"))
    parameters = set(terms(sections(text("sluice-parameters.7"))["KEYS"]))
    documented = {"-": set(terms(page["KEYS"]))}
    for heading, body in page.items():
        if heading.endswith("{ ... }"):
            section = heading.split()[0]
            documented[section] = {term.split()[0] for term in terms(body)}
            if section in ("params", "port", "service"):
                documented[section] |= parameters
    documented["-"] |= {section for section in documented
                        if section in keys["-"] and section != "-"}
    for section in keys:
        assert documented.get(section) == keys[section], f"section {section}"
    assert set(documented) == set(keys)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_no_fault_and_says_all(page):
    """For both programs that show pages; every term of the source is in what they show."""
    path = os.path.join(BUILD, "man", page)
    assert run("mandoc", "-T", "lint", "-W", "warning", path).stdout == ""
    env = {**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "80", "MANROFFSEQ": "t"}
    shown = run("man", "--warnings", "--no-hyphenation", "--no-justification", "--local-file",
                path, env=env)
    assert shown.stderr == ""
    words = " ".join(shown.stdout.split())
    for term in terms(text(page)):
        assert " ".join(term.split()) in words
    assert run("lexgrog", path).stdout.startswith(f'{path}: "{page.rpartition(".")[0]} - ')


# What a run writes, and is not in the tree before the first one: {document: by what}.
WRITTEN = {"kernels.md": "make vmtest"}


def test_every_link_leads_somewhere():
    for path in [f"{SOURCE}/README.md", *glob.glob(f"{SOURCE}/docs/**/*.md", recursive=True)]:
        with open(path) as document:
            for link in re.findall(r"\]\(([^)#:]+)\)", document.read()):
                target = os.path.join(os.path.dirname(path), link)
                assert os.path.exists(target) or link in WRITTEN, f"{path}: {link}"


def test_pages_name_each_other_as_they_are():
    for page in PAGES:
        for name, section, link in re.findall(r"\[([\w.-]+)\((\d)\)\]\(([^)]+)\)", text(page)):
            assert link == f"{name}.{section}.md"
            assert os.path.exists(os.path.join(MAN, link))


@pytest.mark.parametrize("name, program, page", [
    ("gateway", "sluiced", "sluice-gateway.conf.5"),
    ("gateway-static", "sluiced", "sluice-gateway.conf.5"),
    ("agent", "sluice-agent", "sluice-agent.conf.5")])
def test_examples_are_those_of_the_manual_and_right(tmp_path, name, program, page):
    with open(f"{BUILD}/examples/{name}.conf.example") as example:
        content = example.read()
    with open(os.path.join(BUILD, "man", page)) as roff:
        assert content.split("\n\n", 1)[1] in example_blocks(roff.read())
    config = tmp_path / f"{name}.conf"
    config.write_text(content)
    for key in re.findall(r'key-file *= "(.*?)"', content):
        run(f"{BUILD}/bin/sluice", "keygen", tmp_path / key)
    run(f"{BUILD}/bin/{program}", "--check", "-c", config)


def test_the_package_has_the_version_of_the_source():
    with open(f"{SOURCE}/debian/changelog") as changelog:
        packaged = re.match(r"sluice \((.*?)\)", changelog.readline())[1]
    for program in PROGRAMS:
        assert run(f"{BUILD}/bin/{program}", "--version").stdout.split()[1] == packaged


# What systemd's own rating may be at most: 10 is a process that may do anything.
EXPOSURE = {"sluiced": 3.0, "sluice-agent": 2.5}


@pytest.mark.parametrize("unit", EXPOSURE)
def test_units_leave_a_daemon_what_it_needs(tmp_path, unit):
    with open(f"{SOURCE}/user/systemd/{unit}.service.in") as source:
        content = source.read().replace("@SBINDIR@", f"{BUILD}/bin").replace(
            "@BINDIR@", f"{BUILD}/bin")
    for line in "Type=notify", "WatchdogSec=30s", "Restart=on-failure":
        assert line in content.splitlines()
    path = tmp_path / f"{unit}.service"
    path.write_text(content)
    rated = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager",
                            f"--threshold={EXPOSURE[unit] * 10:.0f}", path], text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert rated.returncode == 0 and "Overall exposure" in rated.stdout, rated.stdout[-3000:]

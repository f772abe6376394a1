# SPDX-License-Identifier: GPL-2.0
"""The manual's pages and the README, as text to be held against the programs."""
import glob
import os
import re
import subprocess

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MAN = os.path.join(SOURCE, "docs", "man")
BUILD = os.environ["SLUICE_BUILD"]
PAGES = sorted(os.path.basename(path)[:-len(".md")] for path in glob.glob(f"{MAN}/*.md"))


def text(page):
    with open(os.path.join(MAN, page + ".md")) as source:
        return source.read()


def sections(markdown):
    """{heading: what stands below it}, of all levels."""
    parts = re.split(r"^#+ (.*)$", markdown, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def terms(section):
    """What a section's tables explain: the words in code of each row's first cell."""
    found = []
    for line in section.splitlines():
        if line.startswith("| ") and "`" in line:
            cell = re.split(r"(?<!\\)\|", line)[1].replace("\\|", "|")
            found += re.findall(r"`([^`]*)`", cell)
    return found


def example_blocks(roff):
    """The literal blocks of an installed page's EXAMPLES, as a reader copies them."""
    examples = re.search(r"^\.SH EXAMPLES$(.*?)^\.SH", roff, flags=re.M | re.S)[1]
    blocks = re.findall(r"^\.EX\n(.*?)^\.EE$", examples, flags=re.M | re.S)
    return [re.sub(r"\\(?:\(dq|&|e|-)", lambda m: {"\\(dq": '"', "\\&": "", "\\e": "\\",
                                                   "\\-": "-"}[m[0]], block) for block in blocks]


def indented_blocks(markdown):
    """[(the paragraph before, the block)] of a Markdown document."""
    blocks, paragraph, block = [], "", []
    for part in re.split(r"\n\n+", markdown):
        if part.startswith("    "):
            block.append("\n".join(line[4:] for line in part.splitlines()))
            continue
        if block:
            blocks.append((paragraph, "\n\n".join(block)))
            block = []
        paragraph = part
    return blocks + ([(paragraph, "\n\n".join(block))] if block else [])


def help_of(program, *arguments):
    return subprocess.run([os.path.join(BUILD, "bin", program), *arguments, "--help"], text=True,
                          check=True, stdout=subprocess.PIPE).stdout


def help_options(program):
    """The options of --help, as a manual page writes them: "-c", "--config FILE"."""
    found = set()
    for line in help_of(program).splitlines():
        match = re.match(r" +((?:-\w, +)?--[a-z-]+(?: [A-Z]+)?|-\w)(?:  |$)", line)
        if match:
            found.update(re.split(r", +", match[1]))
    return found


def verb_forms():
    """{verb: the forms of its usage}."""
    verbs = re.findall(r"^  ([a-z]+)  ", help_of("sluice").split("Options:")[0], flags=re.M)
    return {verb: [re.sub(r"^(usage:| +) *sluice ", "", line)
                   for line in help_of("sluice", verb).splitlines()] for verb in verbs}


def config_keys(side):
    """{section: its keys}, of the configuration of gateway or agent; "-" is outermost."""
    out = subprocess.run([os.path.join(BUILD, "tests", "config_keys"), side], text=True, check=True,
                         stdout=subprocess.PIPE).stdout
    keys = {}
    for line in out.splitlines():
        section, key = line.split()
        keys.setdefault(section, set()).add(key)
    return keys

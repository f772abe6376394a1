# SPDX-License-Identifier: GPL-2.0
"""
Kernels to boot: Debian's, by a version such as "6.12" or "newest", unpacked into
the cache and nowhere else, or an image of the user's own.

The package lists are private to the cache, so neither the machine's sources nor
what is installed on it play a part. No version is pinned: Debian keeps only the
last one of each suite.
"""
import functools
import glob
import os
import re
import shutil
import subprocess
from dataclasses import dataclass

MIRROR = "http://deb.debian.org"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
SUITES = (
    "debian bookworm", "debian-security bookworm-security", "debian bookworm-backports",
    "debian trixie", "debian-security trixie-security", "debian trixie-backports",
)
META = "linux-image-amd64"  # depends on the suite's kernel; the full one, as cloud kernels lack 9p
NEWEST = "newest"
UNPACKED = ".unpacked"  # the last file of a package that was unpacked whole
FETCH_SECONDS = 900


class Unavailable(Exception):
    """A kernel or program that cannot be had here and now; says why."""


class Mistake(Exception):
    """What was asked for cannot be; says what can."""


@dataclass(frozen=True)
class Kernel:
    """An image, and where its modules are."""

    name: str  # what was asked for
    origin: str  # "Debian 6.1.192-2", or the path of the user's own image
    release: str  # what uname -r will say
    image: str
    modules: str | None  # .../lib/modules/RELEASE; None: all is built in


def run(*argv, timeout=FETCH_SECONDS, **kwargs):
    """Runs a program to its end and returns what it says; its last words when it fails."""
    try:
        done = subprocess.run(argv, text=True, timeout=timeout, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, **kwargs)
    except FileNotFoundError as error:
        raise Unavailable(f"{argv[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{argv[0]}: not done in {timeout} s") from error
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines() or [f"status {done.returncode}"]
        # apt's first line names the cause, the last line of others does
        raise Unavailable(f"{argv[0]}: {words[0 if argv[0].startswith('apt') else -1]}")
    return done.stdout


class Archive:
    """Debian's packages, by a private list, and those unpacked in the cache."""

    def __init__(self, cache):
        self.cache = cache
        self.unpacked = os.path.join(cache, "packages")
        self.state = os.path.join(cache, "apt")
        os.makedirs(self.unpacked, exist_ok=True)
        for folder in "lists/partial", "archives/partial":
            os.makedirs(os.path.join(self.state, folder), exist_ok=True)
        with open(os.path.join(self.state, "sources.list"), "w", encoding="ascii") as sources:
            for suite in SUITES:
                area, name = suite.split()
                sources.write(f"deb [signed-by={KEYRING}] {MIRROR}/{area} {name} main\n")
        self.options = [f"-o{key}={value}" for key, value in {
            "Dir::Etc::sourcelist": os.path.join(self.state, "sources.list"),
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::State::lists": os.path.join(self.state, "lists"),
            "Dir::State::status": "/dev/null",
            "Dir::Cache": self.state,
            "APT::Architecture": "amd64",
            "APT::Sandbox::User": "root",  # who runs this, whoever it is
            "APT::Update::Error-Mode": "any",
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
            "Acquire::http::Timeout": "30",
        }.items()]

    def update(self):
        run("apt-get", *self.options, "-qq", "update")

    def versions(self, package):
        """{version: names it depends on} of all that the suites offer, newest first."""
        found = {}
        for stanza in run("apt-cache", *self.options, "show", package).split("\n\n"):
            fields = dict(re.findall(r"^(Version|Depends): (.*)$", stanza, re.MULTILINE))
            if fields:
                found[fields["Version"]] = re.findall(r"(?:^|, )([^ ,]+)",
                                                      fields.get("Depends", ""))
        return dict(sorted(found.items(), key=by_version, reverse=True))

    def unpack(self, name, packages):
        """Fetches and unpacks packages (NAME=VERSION or NAME) into one folder, once."""
        folder = os.path.join(self.unpacked, name)
        if os.path.exists(os.path.join(folder, UNPACKED)):
            return folder
        partial = folder + ".partial"
        shutil.rmtree(partial, ignore_errors=True)
        os.makedirs(os.path.join(partial, "root"))
        run("apt-get", *self.options, "-qq", "download", *packages, cwd=partial)
        for package in glob.glob(os.path.join(partial, "*.deb")):
            run("dpkg", "-x", package, os.path.join(partial, "root"))
            os.unlink(package)
        root = os.path.join(partial, "root")
        for entry in os.listdir(root):
            os.rename(os.path.join(root, entry), os.path.join(partial, entry))
        os.rmdir(root)
        with open(os.path.join(partial, UNPACKED), "w", encoding="ascii"):
            pass
        shutil.rmtree(folder, ignore_errors=True)
        os.rename(partial, folder)
        return folder


def compare_versions(one, other):
    for relation, result in ("lt", -1), ("gt", 1):
        if subprocess.run(["dpkg", "--compare-versions", one, relation, other],
                          check=False).returncode == 0:
            return result
    return 0


by_version = functools.cmp_to_key(lambda one, other: compare_versions(one[0], other[0]))


def wanted(version, name):
    return name == NEWEST or version == name or version.startswith(name + ".")


def debian_kernel(archive, name):
    """Finds, fetches and unpacks Debian's newest kernel of that name."""
    try:
        archive.update()
    except Unavailable as error:
        cached = newest_cached(archive, name)
        if cached:
            return cached
        raise Unavailable(f"no package lists: {error}") from error
    offered = archive.versions(META)
    version = next((version for version in offered if wanted(version, name)), None)
    if not version:
        raise Mistake(f"Debian offers no kernel {name} now, but {', '.join(offered)}")
    image = next((one for one in offered[version] if re.match(r"linux-image-\d", one)), None)
    if not image:
        raise Unavailable(f"{META} {version} names no kernel")
    release = image.removeprefix("linux-image-")
    packages = [image]
    for package in packages:  # newer suites split image, modules and base; grows as it goes
        depends = archive.versions(package).get(version, [])
        packages += [one for one in depends if one.endswith("-" + release) and one not in packages]
    folder = archive.unpack(f"linux_{version}_{release}",
                            [f"{package}={version}" for package in packages])
    return unpacked_kernel(name, folder)


def newest_cached(archive, name):
    """Without a network: the newest of that name that was unpacked before."""
    found = {}
    for folder in glob.glob(os.path.join(archive.unpacked, "linux_*")):
        if os.path.exists(os.path.join(folder, UNPACKED)):
            found[os.path.basename(folder).split("_")[1]] = folder
    for version, folder in sorted(found.items(), key=by_version, reverse=True):
        if wanted(version, name):
            return unpacked_kernel(name, folder)
    return None


def unpacked_kernel(name, folder):
    _, version, release = os.path.basename(folder).split("_")
    if not os.path.lexists(os.path.join(folder, "lib")):
        os.symlink("usr/lib", os.path.join(folder, "lib"))
    modules = os.path.join(folder, "lib", "modules", release)
    images = [path for path in (os.path.join(folder, "boot", f"vmlinuz-{release}"),
                                os.path.join(modules, "vmlinuz")) if os.path.exists(path)]
    if not images:
        raise Unavailable(f"the packages of {release} have no image")
    if not os.path.exists(os.path.join(modules, "modules.dep")):
        run("depmod", "-b", folder, release)
    return Kernel(name, f"Debian {version}", release, images[0], modules)


def own_kernel(image, modules=None):
    """An image of the user's own; its modules are looked for where they belong."""
    image = os.path.realpath(image)
    release = release_of(image)
    places = [modules] if modules else [os.path.dirname(image), f"/lib/modules/{release}"]
    for place in map(os.path.realpath, places):
        # modprobe takes only folders of that name
        if place.endswith(f"/lib/modules/{release}") and \
                os.path.exists(os.path.join(place, "modules.dep")):
            return Kernel(release, image, release, image, place)
    if modules:
        raise Mistake(f"{modules}: expected a folder lib/modules/{release} with modules.dep in it, "
                      "as `make modules_install INSTALL_MOD_PATH=` and depmod leave it")
    return Kernel(release, image, release, image, None)


def release_of(image):
    """What uname -r will say, from the boot header of an x86 image."""
    try:
        with open(image, "rb") as file:
            start = file.read(1 << 16)
    except OSError as error:
        raise Mistake(f"{image}: {error.strerror}") from error
    if start[0x202:0x206] != b"HdrS":
        raise Mistake(f"{image}: not a kernel image for x86 (bzImage)")
    at = int.from_bytes(start[0x20e:0x210], "little") + 0x200
    return start[at:at + 128].split(b"\0")[0].decode("ascii", "replace").split()[0]

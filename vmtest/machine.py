# SPDX-License-Identifier: GPL-2.0
"""
Boots a kernel in a virtual machine with the host's files, read-only, and a folder
for results: by QEMU alone with an initramfs of our own, or by virtme-ng.
"""
import contextlib
import lzma
import os
import shutil
import signal
import subprocess
import threading

from kernels import Unavailable, run

HERE = os.path.dirname(os.path.abspath(__file__))
GUEST = os.path.join(HERE, "guest")
BUSYBOX = "/bin/busybox"
MODULES = ("virtio_pci", "9pnet_virtio", "9p", "overlay")  # what the root needs
MEMORY, PROCESSORS = "3G", "2"
# Plain emulation is only stable like this: with a thread for each processor kernels
# die when they patch their code. The processor must have cmpxchg16b, or kernel 7.3 has no
# memory for what BPF programs store with sockets.
EMULATED = ("-accel", "tcg,thread=single", "-cpu", "qemu64,+cx16")
ACCELERATED = ("-accel", "kvm", "-cpu", "host")


def has_kvm():
    """/dev/kvm alone does not say that guests live: the processor must have it too."""
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as info:
        flags = next((line for line in info if line.startswith("flags")), "").split()
    return bool({"vmx", "svm"} & set(flags)) and os.access("/dev/kvm", os.R_OK | os.W_OK)


def accelerator():
    return ACCELERATED if has_kvm() else EMULATED


# ---- the initramfs ----

def module_files(kernel):
    """The modules that the root needs, in the order to load them."""
    if not kernel.modules:
        return []
    base = kernel.modules.split("/lib/modules/")[0] or "/"
    files = []
    for module in MODULES:
        try:
            said = run("modprobe", "-S", kernel.release, "-d", base, "--show-depends", module)
        except Unavailable as error:
            raise Unavailable(f"{kernel.origin} has no {module}: {error}") from error
        for line in said.splitlines():
            verb, _, path = line.partition(" ")
            if verb == "insmod" and path.strip() not in files:
                files.append(path.strip())
    return files


def unpacked_module(path):
    """A module as busybox can load it."""
    with open(path, "rb") as file:
        content = file.read()
    if path.endswith(".xz"):
        return lzma.decompress(content)
    for suffix, tool in (".gz", "gzip"), (".zst", "zstd"):
        if path.endswith(suffix):
            if not shutil.which(tool):
                raise Unavailable(f"{path}: {tool} is not installed")
            return subprocess.run([tool, "-dc"], input=content, stdout=subprocess.PIPE,
                                  check=True).stdout
    return content


def write_initramfs(kernel, results):
    """A cpio archive of busybox, init, and what init reads. Returns its path."""
    root = os.path.join(results, "initramfs")
    shutil.rmtree(root, ignore_errors=True)
    for folder in "bin", "modules":
        os.makedirs(os.path.join(root, folder))
    if not os.path.exists(BUSYBOX):
        raise Unavailable(f"{BUSYBOX} is not installed")
    shutil.copy(BUSYBOX, os.path.join(root, "bin", "busybox"))
    shutil.copy(os.path.join(HERE, "init"), os.path.join(root, "init"))
    order = []
    for path in module_files(kernel):
        name = os.path.basename(path).split(".ko")[0] + ".ko"
        order.append(name)
        with open(os.path.join(root, "modules", name), "wb") as out:
            out.write(unpacked_module(path))
    for name, lines in ("modules/order", order), ("guest", [GUEST]), ("results", [results]):
        with open(os.path.join(root, name), "w", encoding="utf-8") as out:
            out.writelines(line + "\n" for line in lines)
    archive = os.path.join(results, "initramfs.cpio")
    names = [os.path.relpath(os.path.join(folder, name), root)
             for folder, folders, files in os.walk(root) for name in folders + files]
    with open(archive, "wb") as out:
        subprocess.run(["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"], cwd=root, check=True,
                       input="\n".join(names).encode(), stdout=out)
    shutil.rmtree(root)
    return archive


# ---- the commands ----

def qemu_command(kernel, results):
    def share(path, tag, *options):
        return ("-virtfs", ",".join(("local", f"path={path.replace(',', ',,')}",
                                     f"mount_tag={tag}", "security_model=none",
                                     "multidevs=remap", *options)))
    return ["qemu-system-x86_64", *accelerator(), "-m", MEMORY, "-smp", PROCESSORS,
            "-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio",
            "-no-reboot", "-kernel", kernel.image,
            "-initrd", write_initramfs(kernel, results),
            # no_timer_check: on a busy host the kernel's check of its timer fails
            "-append", "console=ttyS0 quiet loglevel=4 panic=-1 oops=panic no_timer_check",
            *share("/", "host", "readonly=on"), *share(results, "vmtest-results")]


def vng_command(archive, kernel, results):
    """virtme-ng is of Debian 13: from the cache, by the machine's own python3."""
    folder = archive.unpack("virtme-ng", ["virtme-ng"])
    programs = os.path.join(folder, "usr", "bin")
    options = [] if has_kvm() else ["--disable-kvm"]
    # The image as a real path, or vng does not find its modules.
    return ["env", f"PYTHONPATH={os.path.join(folder, 'usr/lib/python3/dist-packages')}",
            f"PATH={programs}:{os.environ['PATH']}",
            "/usr/bin/python3", "-B", os.path.join(programs, "vng"), "--run", os.path.realpath(kernel.image), *options,
            "--force-9p", "--cpus", PROCESSORS, "--memory", MEMORY, "--user", "root",
            f"--qemu-opts={' '.join(() if has_kvm() else EMULATED)}",
            f"--rwdir={results}", "--", GUEST, results]


def contained(command):
    """Ends with this program, however that ends. What virtme-ng starts by itself does too if
    root can have a process namespace; one of a user's own would hide who owns files."""
    unshare = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    return ["setpriv", "--pdeathsig", "KILL", *(unshare if os.geteuid() == 0 else []), *command]


def end_all(process):
    """The command and whatever it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


# ---- the run ----

def boot(command, log, label, seconds):
    """
    Runs the machine until it switches itself off; all that it says goes to log and,
    behind label, to the terminal. Returns None, or why it was ended.
    """
    with open(log, "wb") as out, subprocess.Popen(
            contained(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True) as process:
        late = threading.Event()

        def end():
            late.set()
            end_all(process)

        timer = threading.Timer(seconds, end)
        timer.start()
        try:
            for line in process.stdout:
                out.write(line)
                out.flush()
                text = line.decode("utf-8", "replace").rstrip().rpartition("\r")[2]
                print(f"[{label}] {text}", flush=True)
            process.wait()
        except BaseException:
            end_all(process)
            raise
        finally:
            timer.cancel()
    return f"not done in {seconds} s" if late.is_set() else None

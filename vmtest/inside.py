# SPDX-License-Identifier: GPL-2.0
"""
Runs in the virtual machine: asks the kernel for its features, runs each step that
RESULTS/steps.json names, and leaves the reports of each in RESULTS.
"""
import json
import os
import shutil
import subprocess
import sys
import time

import features

SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def write(path, content):
    """Whole or not at all: the machine may be taken away at any time."""
    with open(path + ".new", "w", encoding="utf-8") as out:
        json.dump(content, out, indent=1)
    os.rename(path + ".new", path)


def add_modules(folder):
    """Modules are where the cache has them; modprobe, the kernel's too, looks in /lib/modules."""
    place = f"/lib/modules/{os.uname().release}"
    if folder and not os.path.exists(place):
        os.makedirs("/lib/modules", exist_ok=True)
        os.symlink(folder, place)
    # The kernel loads all others when they are asked for; this one has a device that is not there.
    subprocess.run(["modprobe", "-q", "tun"], check=False)


def run_step(step, results, build):
    """Runs one step. Its status is None when it took too long."""
    reports = os.path.join(build, "test-results")
    shutil.rmtree(reports, ignore_errors=True)
    os.makedirs(reports)
    print(f"vmtest: {step['name']}", flush=True)
    start = time.monotonic()
    with subprocess.Popen(step["command"], cwd=SOURCE, stdin=subprocess.DEVNULL) as process:
        try:
            status = process.wait(step["seconds"])
        except subprocess.TimeoutExpired:
            process.terminate()
            process.wait()
            status = None
    shutil.copytree(reports, os.path.join(results, step["folder"]), dirs_exist_ok=True,
                    copy_function=shutil.copyfile)
    return {"status": status, "seconds": round(time.monotonic() - start)}


def main():
    results = sys.argv[1]
    with open(os.path.join(results, "steps.json"), encoding="utf-8") as file:
        plan = json.load(file)
    os.environ.update(plan["environment"])
    build = os.environ["SLUICE_BUILD"]
    add_modules(plan["modules"])
    write(os.path.join(results, "features.json"), features.probe(build))
    done = {}
    for step in plan["steps"]:
        done[step["name"]] = run_step(step, results, build)
        write(os.path.join(results, "done.json"), done)


if __name__ == "__main__":
    main()

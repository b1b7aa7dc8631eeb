# SPDX-License-Identifier: LGPL-2.1-or-later
"""Guests that crash by sysrq-c and are captured by a second kernel, as kdump does it.

Nobody looks on: the capture kernel saves the dump, scripts/triage/kdump-hook audits it,
and what the hook left beside the dump is what the host gets.
"""

from __future__ import annotations

import argparse
import base64
import io
import re
import shutil
import sys
import tarfile
import time
from pathlib import Path
from typing import Optional, Sequence

from . import initramfs, kernels, live, makedump
from .make import SILENCE_SECONDS
from .paths import lock, made_dir
from .qemu import Hardware, Machine
from .run import LabError

CMDLINE = "console=ttyS0 printk.time=1 crashkernel=352M"
CAPTURE_CMDLINE = "console=ttyS0 printk.time=1 panic=-1 nr_cpus=1 reset_devices"
HARDWARE = Hardware(memory_mib=1024)
CAPTURE_SECONDS = 600
HOOK = live.ROOT / "scripts" / "triage" / "kdump-hook"

#: Of a kernel that can lose memory round a poisoned page, so that there is something to find.
LOSE = ("load hwpoison_inject", "guest kernel_poison 10 37 again")


def _makedumpfile() -> "dict[str, bytes]":
    """The lab's makedumpfile with its own libraries, by path in the guest."""
    loader, _, directories, program = makedump.program()
    files = {"dump/makedumpfile": Path(program).read_bytes(), "dump/ld.so": b""}
    files["dump/ld.so"] = Path(loader).read_bytes()
    for library in live.libraries(program, [loader, "--library-path", directories, "--list"]):
        files[f"dump/{Path(library).name}"] = Path(library).read_bytes()
    command = '#!/bin/sh\nexec /dump/ld.so --library-path /dump /dump/makedumpfile "$@"\n'
    files["bin/makedumpfile"] = command.encode()
    return files


def _capture_image(kernel: kernels.Kernel) -> bytes:
    """The root of the capture kernel: makedumpfile, the hook, and Python with pageaudit."""
    extra = {
        **live.pageaudit_files(),
        **_makedumpfile(),
        "init": (initramfs.GUEST_DIR / "capture.sh").read_bytes(),
        "bin/kdump-hook": HOOK.read_bytes(),
    }
    return initramfs.build(kernel, "", "", (), extra)


def crash(kernel: kernels.Kernel, pieces: Sequence[str] = LOSE) -> "tuple[dict[str, bytes], str]":
    """Crash a guest; what the hook left, by name, and what the console said."""
    work = made_dir("capture", kernel.key)
    extra = {"vmlinuz": kernel.vmlinuz.read_bytes(), "capture.img": _capture_image(kernel)}
    recipe = [
        "mke2fs -b 4096 /dev/nvme0n1 >/dev/null 2>&1",
        *pieces,
        f'guest kexec /vmlinuz /capture.img "{CAPTURE_CMDLINE}"',
        "rm /vmlinuz /capture.img",
        "guest host crash",
        "echo c >/proc/sysrq-trigger",
    ]
    image = work / "initramfs"
    image.write_bytes(
        initramfs.build(kernel, "".join(f"{r}\n" for r in recipe), "", ("hwpoison_inject",), extra)
    )
    try:
        with lock("qemu"), Machine(kernel, HARDWARE, image, CMDLINE, work) as machine:
            _until_crash(machine)
            _until_captured(machine)
            console = machine.console_text()
    finally:
        shutil.rmtree(work)
    packed = re.search(r"capture-begin\s(.*?)capture-end", console, re.S)
    if not packed:
        raise LabError(f"nothing was captured: {console.splitlines()[-1]}")
    with tarfile.open(fileobj=io.BytesIO(base64.b64decode(packed[1]))) as tar:
        files = {m.name: tar.extractfile(m) for m in tar.getmembers() if m.isfile()}
        return {name: file.read() for name, file in files.items() if file}, console


def _until_crash(machine: Machine) -> None:
    while True:
        word, _, rest = machine.hear(SILENCE_SECONDS).partition(" ")
        if word not in ("begin", "crash"):
            raise LabError(f"the guest said {word} {rest}")
        machine.say("ok")
        if word == "crash":
            return


def _until_captured(machine: Machine) -> None:
    """It turns itself off in the end."""
    until = time.monotonic() + CAPTURE_SECONDS
    while machine.process.poll() is None:
        if time.monotonic() > until:
            raise LabError("the capture kernel did not end")
        time.sleep(0.5)


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Crash and capture; status 1 where the hook left no report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kernel", nargs="*", default=["v6.12"], help="keys")
    for key in parser.parse_args(argv).kernel:
        files, console = crash(kernels.fetch(key))
        print("\n".join(re.findall(r"capture: .*", console)))
        for name in ("listing", "pageaudit.txt", "pageaudit.status"):
            print(f"== {key}: {name}\n{files.get(name, b'missing').decode()}")
        if "pageaudit.json" not in files:
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

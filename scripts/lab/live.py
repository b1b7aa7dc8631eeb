# SPDX-License-Identifier: LGPL-2.1-or-later
"""Guests that audit themselves while they run: pageaudit --live, in the kernel's own machine."""

from __future__ import annotations

import base64
import contextlib
import importlib.metadata
import json
import py_compile
import re
import shutil
import sys
import sysconfig
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator, Sequence

from . import elfcore, initramfs, kernels
from .make import CMDLINE, SILENCE_SECONDS
from .paths import lock, made_dir
from .qemu import Hardware, Machine
from .run import LabError, run, say, tool

ROOT = Path(__file__).resolve().parents[2]
HARDWARE = Hardware(memory_mib=1024)
TRIES = 3

# What the guest's Python is to have: all that an audit without a terminal imports.
_IMPORTS = """
import base64, json, sys, termios, traceback, tty, zlib
from importlib.resources import files
from drgn_contrib import cli, bounds, dossier, dossier_text, live, report, run, target, text
from drgn_contrib import html, who, who_text
run.tool()
files("drgn_contrib").joinpath("py.typed").read_bytes()
html.jinja2.Environment().from_string("{{ 'a' }}").render()
print("\\n".join(m.__file__ for m in sys.modules.values() if getattr(m, "__file__", None)))
"""


def _libraries(binary: str) -> "set[str]":
    """Shared libraries that a binary is linked with, and the loader."""
    return set(re.findall(r"(/\S+) \(0x", run([tool("ldd", "libc-bin"), binary])))


def python_files() -> "dict[str, bytes]":
    """This Python, what an audit imports, and what they are linked with, by path in the guest."""
    env = {"PYTHONPATH": str(ROOT)}
    modules = [Path(m) for m in run([sys.executable, "-c", _IMPORTS], env=env).split()]
    interpreter = str(Path(sys.executable).resolve())
    bases = [
        *map(Path, sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})),
        ROOT,
    ]
    files = {"bin/python3": Path(interpreter).read_bytes()}
    binaries = [interpreter, *(str(m) for m in modules if ".so" in m.suffixes)]
    for library in set().union(*map(_libraries, binaries)):
        files[library.lstrip("/")] = Path(library).read_bytes()
    with tempfile.TemporaryDirectory() as directory:
        for module in modules:
            # The guest mounts memory where a checkout and its environment may be.
            base = next((base for base in bases if module.is_relative_to(base)), None)
            name = f"site/{module.relative_to(base)}" if base else str(module).lstrip("/")
            if module.suffix != ".py":
                files[name] = module.read_bytes()
                continue
            # Compiled beforehand: the guest is slow, and its clock is not ours.
            compiled = Path(directory) / "pyc"
            py_compile.compile(str(module), str(compiled), doraise=True)
            files[name + "c"] = compiled.read_bytes()
    for template in (ROOT / "drgn_contrib" / "templates").iterdir():
        files[f"site/{template.relative_to(ROOT)}"] = template.read_bytes()
    # What says its release; drgn itself is not needed where the kernel has BTF.
    about = f"Metadata-Version: 2.1\nName: drgn\nVersion: {importlib.metadata.version('drgn')}\n"
    files["site/drgn-0.dist-info/METADATA"] = about.encode()
    return files


START = f"PYTHONHOME={sys.base_prefix} PYTHONPATH=/site XDG_CACHE_HOME=/tmp python3 /live.py"


@dataclass(frozen=True)
class Answer:
    """What a run of the command in the guest came to."""

    status: int
    out: str
    err: str

    @property
    def report(self) -> "dict[str, Any]":
        """Of --json -."""
        report: "dict[str, Any]" = json.loads(self.out)
        return report


class LiveGuest:
    """A running guest that runs pageaudit when told to."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def pageaudit(self, *argv: str) -> Answer:
        """Run the command in the guest."""
        self.machine.say(json.dumps(argv))
        word, _, rest = self.machine.hear(SILENCE_SECONDS).partition(" ")
        if word != "live":
            raise LabError(f"the guest said {word} {rest}")
        return Answer(*json.loads(zlib.decompress(base64.b64decode(rest))))

    def vmcore(self, path: Path) -> None:
        """What the guest's memory is at this instant."""
        self.machine.qmp.command("stop")
        elfcore.write_vmcore(path, self.machine.notes(), self.machine.segments(), 0)
        self.machine.qmp.command("cont")

    def write(self, phys: int, data: bytes) -> None:
        """Overwrite the guest's memory, while it runs."""
        for segment in self.machine.segments():
            if segment.phys <= phys and phys + len(data) <= segment.phys + segment.size:
                with open(segment.file, "r+b") as file:
                    file.seek(segment.offset + phys - segment.phys)
                    file.write(data)
                return
        raise LabError(f"the guest has no memory at {phys:#x}")


@contextlib.contextmanager
def guest(
    kernel: kernels.Kernel,
    pieces: Sequence[str] = (),
    *,
    modules: Sequence[str] = (),
    cmdline: str = "",
    hardware: Hardware = HARDWARE,
) -> Iterator[LiveGuest]:
    """Boot a guest, run pieces of recipes, then wait for what to run.

    As with dumps, a boot that dies before that is tried again.
    """
    work = made_dir("live", kernel.key)
    extra = {
        **python_files(),
        "live.py": (initramfs.GUEST_DIR / "live.py").read_bytes(),
        "storm.sh": (initramfs.GUEST_DIR / "storm.sh").read_bytes(),
    }
    recipe = "".join(f"{piece}\n" for piece in (". /storm.sh", *pieces, START))
    image = work / "initramfs"
    image.write_bytes(initramfs.build(kernel, recipe, "", modules, extra))
    with lock("qemu"), contextlib.ExitStack() as stack:
        for attempt in range(1, TRIES + 1):
            machine = Machine(kernel, hardware, image, f"{CMDLINE} {cmdline}".strip(), work)
            stack.enter_context(machine)
            try:
                _until_live(machine)
                break
            except LabError as error:
                stack.pop_all().close()
                if attempt == TRIES:
                    raise
                say(f"{kernel.key} live: {error}; trying again")
        yield LiveGuest(machine)
    shutil.rmtree(work)


def _until_live(machine: Machine) -> None:
    while True:
        word, _, rest = machine.hear(SILENCE_SECONDS).partition(" ")
        if word == "live":
            return
        if word != "begin":
            raise LabError(f"the guest said {word} {rest}")
        machine.say("ok")

# SPDX-License-Identifier: LGPL-2.1-or-later
"""Guests that audit themselves while they run: pageaudit --live, in the kernel's own machine."""

from __future__ import annotations

import base64
import contextlib
import importlib.metadata
import json
import os
import py_compile
import re
import shutil
import sys
import sysconfig
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Callable, Iterator, Mapping, Sequence

from . import elfcore, initramfs, kernels
from .make import CMDLINE, SILENCE_SECONDS
from .paths import lock, made_dir
from .qemu import Hardware, Machine
from .run import LabError, run, say, tool

ROOT = Path(__file__).resolve().parents[2]
HARDWARE = Hardware(memory_mib=1024)
TRIES = 3
# An audit under a storm, of a guest without hardware virtualisation.
ANSWER_SECONDS = 900

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


def libraries(binary: str, ldd: Sequence[str] = ()) -> "set[str]":
    """Shared libraries that a binary is linked with, and the loader."""
    ldd = ldd or [tool("ldd", "libc-bin")]
    return set(re.findall(r"(/\S+) \(0x", run([*ldd, binary])))


def module_files(imports: str, path: Path) -> "dict[str, bytes]":
    """This Python, what it imports, and what they are linked with, by path in the guest.

    :param imports: What to import, from PATH, too; prints the modules' files.
    """
    env = {"PYTHONPATH": str(path)}
    modules = [Path(m) for m in run([sys.executable, "-c", imports], env=env).split()]
    interpreter = str(Path(sys.executable).resolve())
    # The environment may lie in the checkout.
    bases = [
        *map(Path, sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})),
        path,
    ]
    files = {"bin/python3": Path(interpreter).read_bytes()}
    binaries = [interpreter, *(str(m) for m in modules if ".so" in m.suffixes)]
    for library in set().union(*map(libraries, binaries)):
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
    return files


def pageaudit_files() -> "dict[str, bytes]":
    """The command, and all that it needs, by path in the guest."""
    files = module_files(_IMPORTS, ROOT)
    for template in (ROOT / "drgn_contrib" / "templates").iterdir():
        files[f"site/{template.relative_to(ROOT)}"] = template.read_bytes()
    # What says its release; drgn itself is not needed where the kernel has BTF.
    about = f"Metadata-Version: 2.1\nName: drgn\nVersion: {importlib.metadata.version('drgn')}\n"
    files["site/drgn-0.dist-info/METADATA"] = about.encode()
    files["bin/python"] = _PYTHON.encode()
    files["bin/pageaudit"] = _COMMAND.encode()
    return files


START = "python /live.py"
# To find what module_files() brought.
_PYTHON = f"""#!/bin/sh
export PYTHONHOME={sys.base_prefix} PYTHONPATH=/site XDG_CACHE_HOME=/cache
exec python3 "$@"
"""
_COMMAND = """#!/bin/sh
exec python -c "import sys; from drgn_contrib.cli import main; sys.exit(main())" "$@"
"""


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

    def pageaudit(self, *argv: str, on_read: Callable[[], object] = lambda: None) -> Answer:
        """Run the command in the guest.

        :param on_read: Called when a read is over that another follows.
        """
        return self._ask("pageaudit", *argv, on_read=on_read)

    def command(self, *argv: str) -> Answer:
        """Run another program in the guest."""
        return self._ask("command", *argv)

    def truth(self) -> "dict[str, Any]":
        """What pageaudit reads of each page, and what the kernel says of it meanwhile."""
        return self._ask("truth").report

    def _ask(self, *words: str, on_read: Callable[[], object] = lambda: None) -> Answer:
        self.machine.say(json.dumps(words))
        word, _, rest = self.machine.hear(ANSWER_SECONDS).partition(" ")
        while word == "read":
            on_read()
            word, _, rest = self.machine.hear(ANSWER_SECONDS).partition(" ")
        if word != "live":
            raise LabError(f"the guest said {word} {rest}")
        return Answer(*json.loads(zlib.decompress(base64.b64decode(rest))))

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """While nothing of the guest moves."""
        self.machine.qmp.command("stop")
        try:
            yield
        finally:
            self.machine.qmp.command("cont")

    def vmcore(self, path: Path) -> None:
        """What the guest's memory is while it is stopped."""
        elfcore.write_vmcore(path, self.machine.notes(), self.machine.segments(), 0)

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
    files: Mapping[str, bytes] = MappingProxyType({}),
) -> Iterator[LiveGuest]:
    """Boot a guest, run pieces of recipes, then wait for what to run.

    :param files: More files of the guest, by path.

    As with dumps, a boot that dies before that is tried again.
    """
    work = made_dir("live", f"{kernel.key}-{os.getpid()}")
    extra = {
        **pageaudit_files(),
        "live.py": (initramfs.GUEST_DIR / "live.py").read_bytes(),
        "storm.sh": (initramfs.GUEST_DIR / "storm.sh").read_bytes(),
        **files,
    }
    recipe = "".join(f"{piece}\n" for piece in (". /storm.sh", *pieces, START))
    image = work / "initramfs"
    image.write_bytes(initramfs.build(kernel, recipe, "", modules, extra))
    with lock("qemu"), contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, work)
        for attempt in range(1, TRIES + 1):
            machine = Machine(kernel, hardware, image, f"{CMDLINE} {cmdline}".strip(), work)
            stack.enter_context(machine)
            try:
                _until_live(machine)
                break
            except LabError as error:
                machine.kill()
                if attempt == TRIES:
                    raise
                say(f"{kernel.key} live: {error}; trying again")
        yield LiveGuest(machine)


def _until_live(machine: Machine) -> None:
    while True:
        word, _, rest = machine.hear(SILENCE_SECONDS).partition(" ")
        if word == "live":
            return
        if word != "begin":
            raise LabError(f"the guest said {word} {rest}")
        machine.say("ok")

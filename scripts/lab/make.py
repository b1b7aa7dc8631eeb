# SPDX-License-Identifier: LGPL-2.1-or-later
"""From a kernel and a recipe to a dump in the cache."""

from __future__ import annotations

import json
import shlex
import shutil
import tarfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Callable, Optional

from . import elfcore, initramfs, kernels, recipes
from .expected import Scene
from .instants import Breakpoints
from .paths import lab_dir, lock
from .qemu import Machine
from .run import LabError, say

CMDLINE = "console=ttyS0 panic=-1 oops=panic printk.time=1"
TRIES = 6
# A guest that says nothing for so long hangs; TCG on a busy machine is slow.
SILENCE_SECONDS = 300


@dataclass(frozen=True)
class Dump:
    """A vmcore in the cache, and what is known about it."""

    path: Path
    kernel: kernels.Kernel

    @property
    def vmcore(self) -> Path:
        """The ELF vmcore: sparse, and shared by all, never to be written to."""
        return self.path / "vmcore.elf"

    @property
    def vmlinux(self) -> Path:
        """The kernel's image with debug info."""
        return self.kernel.vmlinux

    @property
    def meta(self) -> dict[str, Any]:
        """What meta.json says: kernel, recipe, command line, events of the workload."""
        meta: dict[str, Any] = json.loads((self.path / "meta.json").read_text())
        return meta

    def truth(self, name: str) -> bytes:
        """A file that the guest read at the instant of the dump, such as proc/zoneinfo."""
        return (self.path / "truth" / name).read_bytes()

    def has_truth(self, name: str) -> bool:
        """Whether the guest had that file."""
        return (self.path / "truth" / name).is_file()


def dump_path(kernel: str, recipe: str, *parts: str) -> Path:
    """Where the dump of a kernel after a recipe is, or would be."""
    return lab_dir().joinpath("dumps", f"{kernel}-{recipe}", *parts)


class RecipeFailed(LabError):
    """A piece of the recipe said no: another try would be told the same."""


def dump(kernel: str, recipe: str = "light", again: bool = False) -> Dump:
    """The dump of a kernel after a recipe; made, in half a minute or so, if not in the cache.

    AGAIN makes it anew; who has the old one open keeps it.
    """
    cooked = recipes.recipe(recipe)
    image = kernels.fetch(kernel)
    path = dump_path(kernel, recipe)
    with lock(f"dump-{kernel}-{recipe}"):
        if again or not (path / "meta.json").exists():
            if not cooked.applies(image):
                raise LabError(f"recipe {recipe} does not apply to {kernel}")
            # One machine at a time: each takes a core and its memory.
            with lock("qemu"):
                build(path, lambda work: _boot(image, cooked, work))
    return Dump(path, image)


def build(path: Path, boot: Callable[[Path], None]) -> None:
    """Have BOOT make what belongs in PATH: beside it, and tried again where the guest failed."""
    work = path.with_name(path.name + ".new")
    for attempt in range(1, TRIES + 1):
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        try:
            boot(work)
            break
        except RecipeFailed:
            raise
        except LabError as error:
            if attempt == TRIES:
                raise
            say(f"{path.name}: {error}; trying again")
        finally:
            _clean(work)
    old = path.with_name(path.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if path.exists():
        path.rename(old)
    work.rename(path)
    shutil.rmtree(old, ignore_errors=True)


def _clean(work: Path) -> None:
    """Remove what only the running machine needed: its memory above all."""
    for name in ("truth.raw", "initramfs", "qmp.sock", "host.sock", "gdb.sock"):
        (work / name).unlink(missing_ok=True)
    for pattern in ("ram*", "dimm-*"):
        for memory in work.glob(pattern):
            memory.unlink()


def _boot(kernel: kernels.Kernel, recipe: recipes.Recipe, work: Path) -> None:
    begun = time.monotonic()
    times: dict[str, float] = {}

    def note_time(what: str) -> None:
        times[what] = round(time.monotonic() - begun, 1)

    pieces = recipe.pieces(kernel)
    truth = "guest truth /dev/nvme0n1"
    truth += (" pages" if recipe.truth_pages else "") + (" tasks" if recipe.truth_tasks else "")
    truth += " devices" if recipe.truth_devices else ""
    image = work / "initramfs"
    image.write_bytes(
        initramfs.build(
            kernel,
            "".join(f"{p}\n" for p in pieces),
            truth + "\n",
            recipe.modules,
            recipe.extra(kernel),
        )
    )
    cmdline = f"{CMDLINE} {recipe.cmdline}".strip()
    with Machine(kernel, recipe.hardware, image, cmdline, work) as machine:
        ready = _serve(machine, kernel, work, note_time)
        segments = machine.segments()
        if "stopped_in" not in ready:
            machine.stop_at_rest()
            note_time("stopped")
            notes = machine.notes()
            elfcore.write_vmcore(
                work / "vmcore.elf", notes, segments, int(ready.get("direct_map", "0"), 0)
            )
            note_time("dumped")
            machine.qmp.command("cont")
        machine.say("ok")
        if machine.hear(SILENCE_SECONDS) != "done":
            raise LabError("the guest did not write its ground truth")
        note_time("truth")
    with tarfile.open(machine.disk) as tar:
        for member in tar:
            # Our own program wrote it; still, nothing may leave the directory.
            target = work / "truth" / member.name
            if ".." in member.name or not member.isfile():
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            content = tar.extractfile(member)
            if content:
                target.write_bytes(content.read())
    told = work / "truth" / "run" / "events"
    events = parse_events(told.read_text() if told.exists() else "")
    scene = Scene(events, machine.console_text(), work / "truth", kernel.release)
    meta = {
        "kernel": kernel.key,
        "release": kernel.release,
        "vmlinux": str(kernel.vmlinux),
        "debug_modules": str(kernel.debug_modules),
        "recipe": recipe.name,
        "what": recipe.what,
        "pieces": pieces,
        "cmdline": cmdline,
        "hardware": asdict(recipe.hardware),
        "segments": [{"phys": s.phys, "size": s.size} for s in segments],
        "direct_map": int(ready.get("direct_map", "0"), 0),
        "truth_rounds": int(ready.get("rounds", "0")),
        "truth_differing": None if ready.get("differing") == "-" else ready.get("differing"),
        "truth_pid": int(ready.get("pid", "0")),
        # Then the ground truth is of a later instant.
        "stopped_in": ready.get("stopped_in"),
        "events": events,
        "complaints": _complaints(scene.console),
        "expected": recipe.expected(scene),
        "seconds": times,
    }
    (work / "meta.json").write_text(json.dumps(meta, indent=1) + "\n")


def parse_events(text: str) -> list[dict[str, Any]]:
    """Lines of the form `NAME key=value ...`, values as numbers where they are."""
    found: list[dict[str, Any]] = []
    for line in text.splitlines():
        name, *rest = shlex.split(line)
        entry: dict[str, Any] = {"event": name}
        for word in rest:
            key, _, value = word.partition("=")
            try:
                entry[key] = int(value, 0)
            except ValueError:
                entry[key] = value
        found.append(entry)
    return found


# What a kernel says when something is wrong with it.
COMPLAINTS = ("BUG:", "WARNING:", "Oops", "general protection", "INFO: task", "Call Trace:")


def _complaints(console: str) -> list[str]:
    return [line for line in console.splitlines() if any(word in line for word in COMPLAINTS)]


def _dump_in(kernel: kernels.Kernel, machine: Machine, work: Path, where: str) -> str:
    """Dump the machine as it comes to a function: FUNCTION/WITHIN [TIMES]."""
    function, _, times = where.partition(" ")
    breakpoints = Breakpoints(kernel, machine)
    machine.say("ok")
    stopped = breakpoints.stop_in(function.replace("/", ">"), int(times or 1))
    elfcore.write_vmcore(work / "vmcore.elf", machine.notes(), machine.segments(), 0)
    breakpoints.detach()
    return stopped


def _serve(machine: Machine, kernel: kernels.Kernel, work: Path, note_time: Any) -> dict[str, str]:
    """Do what the guest asks for, until it is ready to be dumped."""
    stopped: dict[str, str] = {}
    while True:
        word, _, rest = machine.hear(SILENCE_SECONDS).partition(" ")
        if word == "begin":
            note_time("booted")
            machine.say("ok")
        elif word == "dimm_add":
            name, mib = rest.split()
            dimm = machine.plug_dimm(name, int(mib))
            machine.say(f"ok {dimm.phys:#x} {dimm.size}")
        elif word == "dimm_del":
            machine.unplug_dimm(rest)
            machine.say("ok")
        elif word == "dimm_gone":
            machine.drop_dimm(rest)
            machine.say("ok")
        elif word == "qmp":
            # A command of QEMU's whose arguments are numbers or words: NAME KEY=VALUE ...
            name, *pairs = rest.split()
            arguments = dict(pair.split("=", 1) for pair in pairs)
            numbers = {k: int(v) if v.isdigit() else v for k, v in arguments.items()}
            machine.qmp.command(name, **numbers)
            machine.say("ok")
        elif word == "break":
            stopped["stopped_in"] = _dump_in(kernel, machine, work, rest)
            note_time("dumped")
        elif word == "ready":
            note_time("ready")
            return {**dict(part.split("=", 1) for part in rest.split()), **stopped}
        elif word == "failed":
            raise RecipeFailed(f"in the guest, this failed: {rest}" + _console_tail(machine))
        else:
            raise LabError(f"the guest said {word!r}")


def _console_tail(machine: Machine, lines: int = 12) -> str:
    return "\n  " + "\n  ".join(machine.console_text().splitlines()[-lines:])


def existing(kernel: str, recipe: str) -> Optional[Dump]:
    """The dump if it is in the cache, without making anything."""
    path = dump_path(kernel, recipe)
    if not (path / "meta.json").exists():
        return None
    return Dump(path, kernels.fetch(kernel))

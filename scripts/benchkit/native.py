# SPDX-License-Identifier: LGPL-2.1-or-later
"""The C programs of the benchmark: compiled as the extension is, then run."""

from __future__ import annotations

import importlib.util
import statistics
import subprocess
import types
from pathlib import Path
from typing import Callable, Dict, List, Sequence, Tuple

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCES = Path(__file__).resolve().parent / "native"

#: A line of a program's output by its name: the values of each time.
Output = Dict[str, List[Tuple[float, ...]]]


class NativeError(Exception):
    """A program of the benchmark failed; what it said."""


def _setup() -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("pageaudit_setup", ROOT / "setup.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def build() -> "dict[str, Path]":
    """Each program by its name, compiled where something has changed."""
    setup = _setup()
    out = ROOT / "build" / "obj" / "bench"
    tools = setup.Toolchain(out, sanitize=False)
    tools.cflags += [f"-I{SOURCES}", f"-I{ROOT / 'tests' / 'c'}"]
    core = tools.compile(setup.core_sources())
    common = SOURCES / "bench.c"
    mains = sorted(path for path in SOURCES.glob("*.c") if path != common)
    common_object, *objects = tools.compile([common, *mains])
    archive = out / "libpageaudit.a"
    tools.archive(archive, [*core, common_object])
    programs = {}
    for obj in objects:
        programs[obj.stem] = obj.with_suffix("")
        tools.link(programs[obj.stem], [obj, archive])
    return programs


def run(program: Path, *arguments: object) -> Output:
    """Run a program and take its output apart."""
    done = subprocess.run(
        [str(program), *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise NativeError(f"{program.name}: {done.stderr.strip() or done.returncode}")
    output: Output = {}
    for line in done.stdout.splitlines():
        name, *values = line.split()
        output.setdefault(name, []).append(tuple(map(float, values)))
    return output


def join(outputs: Sequence[Output]) -> Output:
    """Several runs of a program as one."""
    joined: Output = {}
    for output in outputs:
        for name, values in output.items():
            joined.setdefault(name, []).extend(values)
    return joined


def wall(output: Output, name: str) -> float:
    """The median of a line's first value: seconds by the wall, or a number."""
    return statistics.median(values[0] for values in output[name])


def cpu(output: Output, name: str) -> float:
    """The median of a line's second value: seconds of processor time."""
    return statistics.median(values[1] for values in output[name])


def alternate(times: int, *runs: Callable[[], Output]) -> List[Output]:
    """Runs one after another, again and again, so that all meet the same machine."""
    outputs: List[List[Output]] = [[] for _ in runs]
    for _ in range(times):
        for index, each in enumerate(runs):
            outputs[index].append(each())
    return [join(each) for each in outputs]

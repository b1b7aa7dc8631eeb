# SPDX-License-Identifier: LGPL-2.1-or-later
"""makedumpfile's varieties of a dump, by a makedumpfile that knows the newest kernels."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Sequence

from .apt import unpacked_program
from .paths import lock
from .run import LabError, run

# makedumpfile and the libraries it needs.
PACKAGES = (
    "makedumpfile",
    "libc6",
    "libdw1t64",
    "libelf1t64",
    "liblzo2-2",
    "libzstd1",
    "zlib1g",
    "liblzma5",
    "libbz2-1.0",
)

# What a name stands for. `-p` (snappy) is not among them: Debian builds makedumpfile without it.
VARIETIES: dict[str, tuple[str, ...]] = {
    "zlib": ("-c", "-d", "31"),
    "lzo": ("-l", "-d", "31"),
    "zstd": ("-z", "-d", "31"),
    "zlib-d0": ("-c", "-d", "0"),
    "raw": ("-d", "31"),
    "d1": ("-c", "-d", "1"),
    "flat": ("-F", "-c", "-d", "31"),
    "elf-d31": ("-E", "-d", "31"),
    "elf-d31-flat": ("-F", "-E", "-d", "31"),
    "split": ("-c", "-d", "31", "--split"),
}
SPLIT_PARTS = 3


def program() -> list[str]:
    """The command line that runs the lab's makedumpfile."""
    return unpacked_program("makedumpfile", PACKAGES)


def filter_dump(source: Path, target: Path, options: Sequence[str]) -> list[Path]:
    """Run makedumpfile with options; returns the files made (several for --split)."""
    new = target.with_name(f".{target.name}.{os.getpid()}")
    argv = [*program(), "--message-level", "0", *options]
    if "-F" in options:
        run(["sh", "-c", '"$@" > "$0"', str(new), *argv, str(source)])
        made = {new: target}
    elif "--split" in options:
        parts = [new.with_name(f"{new.name}.{i}") for i in range(SPLIT_PARTS)]
        run([*argv, str(source), *(str(part) for part in parts)])
        made = {part: target.with_name(f"{target.name}.{i}") for i, part in enumerate(parts)}
    else:
        run([*argv, str(source), str(new)])
        made = {new: target}
    for temporary, final in made.items():
        temporary.rename(final)
    return list(made.values())


def variety(vmcore: Path, name: str) -> list[Path]:
    """A variety of a vmcore, cached beside it; a list, since --split makes several files."""
    if name not in VARIETIES:
        raise LabError(f"no variety {name}: there are {', '.join(VARIETIES)}")
    target = vmcore.parent / f"vmcore.{name}"
    with lock(f"variety-{vmcore.parent.name}-{name}"):
        have = [target] if target.exists() else sorted(target.parent.glob(target.name + ".[0-9]"))
        return have or filter_dump(vmcore, target, VARIETIES[name])

# SPDX-License-Identifier: LGPL-2.1-or-later
"""The small dumps that ship with the project, under vmcores/, each with what made it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from . import make, makedump
from .run import LabError, say

VMCORES = Path(__file__).resolve().parent.parent.parent / "vmcores"

# Name: kernel and recipe.
SHIPPED: dict[str, tuple[str, str]] = {
    "v6.12-healthy": ("v6.12", "small"),
    "v7.2-hwpoison-leak": ("v7", "hwpoison-leak"),
    "v6.12-page-owner": ("v6.12-owner", "owner"),
    "v7.2-soft-offline-leak": ("v7-leak", "soft-offline-leak"),
}

# What of the guest's own words goes with a dump; the rest can be had by making it again.
TRUTH = (
    *("proc/zoneinfo", "proc/buddyinfo", "proc/iomem", "proc/meminfo", "proc/vmstat"),
    "run/owners",
)
META = (
    "kernel",
    "release",
    "recipe",
    "what",
    "pieces",
    "cmdline",
    "hardware",
    "segments",
    "events",
    "complaints",
    "expected",
)


def ship(name: str) -> list[Path]:
    """Make a shipped dump again, from the lab's dump of that kernel and recipe."""
    if name not in SHIPPED:
        raise LabError(f"no dump {name} ships: there are {', '.join(SHIPPED)}")
    dump = make.dump(*SHIPPED[name])
    VMCORES.mkdir(exist_ok=True)
    target = VMCORES / f"{name}.kdump"
    # makedumpfile -c -d 31 with zlib's best level, and nothing of the kernel's dropped.
    (source,) = makedump.variety(dump.vmcore, "complete")
    shutil.copyfile(source, target)
    meta = dump.meta
    about = {key: meta[key] for key in META}
    about["made_by"] = f"scripts/lab ship {name}"
    about["truth"] = {file: dump.truth(file).decode() for file in TRUTH if dump.has_truth(file)}
    recipe = VMCORES / f"{name}.json"
    recipe.write_text(json.dumps(about, indent=1) + "\n")
    say(f"{target.name}: {target.stat().st_size / 1e6:.1f} MB")
    return [target, recipe]

# SPDX-License-Identifier: LGPL-2.1-or-later
"""Names that the tests on real dumps share.

Run as a program it makes those dumps, so that they are ready when a test wants
them: scripts/test starts it first of all, because it takes minutes.
"""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, Callable

if TYPE_CHECKING:
    from drgn_contrib import report, target

#: The lab's kernels, from the oldest layout of struct page to the newest.
KERNELS = ("v5.10", "v6.1", "v6.12", "v7")

#: Kernels with CONFIG_MEMORY_FAILURE, which Debian's older cloud kernels lack, and a dump of
#: each with poison in it that was handled rightly.
POISONED = (("v5.10-amd64", "poison"), ("v6.12", "full"), ("v7", "full"))

#: What the fixtures open_dump and audit_dump are.
Open = Callable[..., "target.OpenedTarget"]
Audit = Callable[..., "report.Report"]

#: In the order in which tests want them. A dump that is missing here is made by
#: the first test that wants it.
RECIPES = (
    "light",
    "hvo",
    "pmem",
    "poison",
    "full",
    "census",
    "cgroups",
    "cgroups-lru",
    "hotplug",
    "blocks",
    "gigantic",
)


#: What some tests want besides.
MORE = ("files", "pmem2", "memmap-on-memory", "p2pdma")
#: The last that are wanted: of kernels that lose blocks round poisoned pages.
LAST = (
    ("v5.10-amd64", "poison"),
    ("v5.10-amd64", "hwpoison-leak"),
    ("v6.12", "hwpoison-leak"),
    ("v7", "hwpoison-leak"),
)
#: A kernel that is stopped while memory goes offline under a task; scripts/soak-recipes has others.
WALK = ("v6.12", "migrate")


def make_all() -> None:
    """Make every dump that the lab does not have yet."""
    from lab import crash, kernels, make, recipes, walks

    # pytest, too, takes one kernel after the other.
    for kernel in KERNELS:
        for recipe in (*RECIPES, *MORE):
            if recipes.recipe(recipe).applies(kernels.fetch(kernel)):
                make.dump(kernel, recipe)
        for how in ("walker", "sysrq"):
            crash.dump(kernel, how)
    walks.dump(*WALK)
    for kernel, recipe in LAST:
        make.dump(kernel, recipe)


if __name__ == "__main__":
    # Ended early, it takes its guest with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    make_all()

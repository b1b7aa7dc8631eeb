# SPDX-License-Identifier: LGPL-2.1-or-later
"""Audits of recipes' dumps: what must be found is found, on its pfns, and nothing else."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from typing import Any, Iterator, Mapping, Optional, Sequence

from drgn_contrib import run, target

from . import kernels, make, recipes, walked, walks
from .run import LabError

#: Kernels with CONFIG_MEMORY_FAILURE: Debian's plain flavour of the older ones.
POISONED = ("v5.10-amd64", "v6.1-amd64", "v6.12", "v7")
POISON = (
    "poison",
    "hwpoison-free",
    "hwpoison-leak",
    "hvo-poison",
    "hugetlb-poison",
    "hugetlb-poison-hvo",
    "poison-hotplug",
    "dax-poison",
)

#: Recipes whose dumps the tests don't make, with kernels of their own where they have some.
RECIPES: "dict[str, tuple[str, ...]]" = {
    "dax-pins": (),
    "dax-teardown": (),
    "devdax-teardown": (),
    "dax-teardown-altmap": (),
    "devdax-teardown-altmap": (),
    "soft-offline-leak": ("v5.10-leak", "v7-leak"),
    "soft-offline-leak-file": ("v5.10-leak", "v7-leak"),
    **dict.fromkeys(POISON, POISONED),
    "poison-instant-count": ("v6.1-amd64", "v6.12", "v7"),
    "poison-instant-buddy": ("v6.1-amd64", "v6.12", "v7"),
    "poison-instant-block": ("v6.12", "v7"),
    "poison-instant-soft": ("v5.10-amd64",),
    "devdax-put-loop": ("v5.10",),
    "p2pdma": (),
    "pmem2": (),
    "hotplug-again": (),
    "offlined-thp": (),
    "memmap-on-memory": (),
    "virtio-mem": (),
}

#: Before the names of walkers, which drgn is the judge of.
WALK = "walk-"

Found = tuple[str, str, Optional[int], Optional[int]]


def all_scenes() -> Iterator[tuple[str, str]]:
    """Each recipe with the kernels that it applies to."""
    for recipe, own in RECIPES.items():
        for kernel in own or kernels.KERNELS:
            if recipes.recipe(recipe).applies(kernels.fetch(kernel)):
                yield kernel, recipe
    for kernel in kernels.KERNELS:
        for name in walks.WALKS:
            yield kernel, WALK + name


def _split(name: str) -> tuple[str, str]:
    """Kernel and recipe: both may have a dash in their names."""
    for kernel in sorted(kernels.known(), key=len, reverse=True):
        if name.startswith(kernel + "-"):
            return kernel, name[len(kernel) + 1 :]
    raise LabError(f"{name} is no kernel and recipe")


def _key(found: Mapping[str, Any]) -> Found:
    return found["check"], found["severity"], found["pfn"], found["pfn_end"]


def _may_be(unsure: Mapping[str, Any], found: Found) -> bool:
    """Whether it is what may be there: of what size a block was lost is not sure, either."""
    check, _, pfn, end = found
    poisoned: int = unsure.get("poisoned", unsure["pfn"])
    return bool(check == unsure["check"]) and (pfn or 0) <= poisoned < (end or 0)


def audit(kernel: str, recipe: str) -> list[str]:
    """What an audit of the dump says that it should not, and what it does not say."""
    if recipe.startswith(WALK):
        return _audit_walk(kernel, recipe[len(WALK) :])
    dump = make.dump(kernel, recipe)
    report = run.run(target.open_target([str(dump.vmcore)], [str(dump.kernel.vmlinux)]))
    found = Counter(_key(finding.to_json()) for finding in report.findings)
    listed = dump.meta["expected"]
    expected = Counter(_key(finding) for finding in listed)
    sure = Counter(_key(finding) for finding in listed if not finding.get("unsure"))
    unsure = [finding for finding in listed if finding.get("unsure")]
    extra = [
        key
        for key in (found - expected).elements()
        if key[1] != "info" and not any(_may_be(finding, key) for finding in unsure)
    ]
    lines = [f"missing: {key}" for key in (sure - found).elements()]
    lines += [f"not expected: {key}" for key in extra]
    said = "\n".join(str(finding.evidence.get("waiting", "")) for finding in report.findings)
    lines += [
        f"missing: who waits: {event['comm']} (pid {event['pid']})"
        for event in dump.meta["events"]
        if event["event"] == "stuck" and not event["ended"] and f"(pid {event['pid']})" not in said
    ]
    lines += [
        f"{check.id} {check.status}: {check.reason}"
        for check in report.checks
        if check.status not in ("ran", "not-applicable")
    ]
    infos = sum(number for key, number in found.items() if key[1] == "info")
    print(
        f"{kernel}-{recipe}: {sum(expected.values())} expected, {infos} info, {len(lines)} wrong",
        flush=True,
    )
    return lines


def _audit_walk(kernel: str, name: str) -> list[str]:
    dump = walks.dump(kernel, name)
    lines = walked.wrong(dump)
    known = dump.meta["walk"]
    print(
        f"{kernel}-{WALK}{name}: in {known['function']}(), block {known['block']} "
        f"{known['state']}, {len(lines)} wrong",
        flush=True,
    )
    return lines


def main(argv: Optional[Sequence[str]] = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/soak-recipes", description=__doc__)
    parser.add_argument("scene", nargs="*", help="KERNEL-RECIPE; all of them when left out")
    arguments = parser.parse_args(argv)
    wrong = 0
    for kernel, recipe in map(_split, arguments.scene) if arguments.scene else all_scenes():
        for line in audit(kernel, recipe):
            wrong += 1
            print(f"  {line}", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: LGPL-2.1-or-later
"""The first rule: nothing above info on a healthy kernel, and every check ran."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from dumps import KERNELS, RECIPES, Audit
from lab import kernels, recipes

if TYPE_CHECKING:
    from drgn_contrib import report

#: What kernels of the cloud flavour lack, by check.
_NO_MEMORY_FAILURE = {
    "hwpoison-in-buddy",
    "hwpoison-neighbour-leak",
    "hwpoison-accounting",
    "hwpoison-mapped",
}


def _unexpected(audited: report.Report) -> "list[str]":
    return [
        f"{found.severity} {found.check} {found.pfn} {found.summary}"
        for found in audited.findings
        if found.severity != "info"
    ]


@pytest.mark.parametrize(
    ("kernel", "recipe"),
    [(kernel, recipe) for recipe in RECIPES for kernel in KERNELS],
    scope="session",
)
def test_healthy(kernel: str, recipe: str, audit_dump: Audit) -> None:
    """Every recipe with every kernel that it applies to."""
    if not recipes.recipe(recipe).applies(kernels.fetch(kernel)):
        pytest.skip("not on this kernel")
    audited = audit_dump(kernel, recipe)
    assert _unexpected(audited) == []
    statuses = Counter(check.status for check in audited.checks)
    assert not set(statuses) - {"ran", "not-applicable"}, audited.checks
    lacking = {check.id for check in audited.checks if check.status == "not-applicable"}
    assert lacking in (set(), _NO_MEMORY_FAILURE)
    assert audited.coverage["pages_excluded"] == 0
    assert audited.coverage["pages_unreadable"] == 0


def test_infos(kernel: str, audit_dump: Audit) -> None:
    """Info is for what an old kernel does by design, and for poison that is handled."""
    audited = audit_dump(kernel, "full")
    hazards = {found.check for found in audited.findings}
    assert hazards == ({"zone-device-taint"} if kernel == "v5.10" else set())

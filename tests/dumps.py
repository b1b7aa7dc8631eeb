# SPDX-License-Identifier: LGPL-2.1-or-later
"""Names that the tests on real dumps share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

if TYPE_CHECKING:
    from drgn_contrib import report, target

#: The lab's kernels, from the oldest layout of struct page to the newest.
KERNELS = ("v5.10", "v6.1", "v6.12", "v7")

#: What the fixtures open_dump and audit_dump are.
Open = Callable[..., "target.OpenedTarget"]
Audit = Callable[..., "report.Report"]

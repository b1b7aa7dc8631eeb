# SPDX-License-Identifier: LGPL-2.1-or-later
"""pageaudit: an audit of the Linux kernel's map of physical memory, on drgn."""

from drgn_contrib._pageaudit import TargetError
from drgn_contrib.report import Finding, Report
from drgn_contrib.run import audit

__all__ = ["Finding", "Report", "TargetError", "audit"]

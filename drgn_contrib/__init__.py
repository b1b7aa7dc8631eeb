# SPDX-License-Identifier: LGPL-2.1-or-later
"""pageaudit: an audit of the Linux kernel's map of physical memory, on drgn."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from drgn_contrib._pageaudit import TargetError
    from drgn_contrib.report import Finding, Report
    from drgn_contrib.run import audit

__all__ = ["Finding", "Report", "TargetError", "audit"]

#: drgn imports the package at each start, for its command: modules come when they are used.
_MODULES = {"Finding": "report", "Report": "report", "TargetError": "_pageaudit", "audit": "run"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value

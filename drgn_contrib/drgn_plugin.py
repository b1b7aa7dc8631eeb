# SPDX-License-Identifier: LGPL-2.1-or-later
"""The command %pageaudit of drgn's prompt. drgn imports this at each start: it stays small.

Releases of drgn without commands have no prompt to add it to; then this does nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

    import drgn

try:
    from drgn.commands import argument, drgn_argument
    from drgn.commands.linux import linux_kernel_command
except ImportError:
    pass
else:

    @linux_kernel_command(  # type: ignore[untyped-decorator]
        description="audit the kernel's map of physical memory",
        long_description="Without WHAT, audit all of it. page: all that is known of pages. "
        "who: who holds them. map: sections, zones, blocks and device memory. checks: what "
        "is checked.",
        arguments=(
            argument(
                "what",
                metavar="WHAT",
                nargs="?",
                choices=("audit", "page", "who", "map", "checks"),
                default="audit",
                help="audit (the default), page, who, map or checks",
            ),
            argument(
                "page",
                metavar="PAGE",
                nargs="*",
                help="a pfn, the address of a struct page or of the direct map, or phys:0x...; "
                "of checks: an id",
            ),
            argument("--checks", metavar="ID,...", help="audit: run only these checks"),
            argument("-v", "--verbose", action="store_true", help="leave nothing out"),
            drgn_argument,
        ),
    )
    def _cmd_pageaudit(
        prog: drgn.Program, name: str, args: argparse.Namespace, **kwargs: Any
    ) -> None:
        from drgn_contrib.drgn_command import run_command

        run_command(prog, args)

# SPDX-License-Identifier: LGPL-2.1-or-later
"""Names of kernel addresses: from the dump's own kallsyms, or by drgn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from drgn_contrib._pageaudit import Layout, TargetError

if TYPE_CHECKING:
    import drgn

    from drgn_contrib.target import OpenedTarget


class Symbols:
    """Finds its source of names when it is first asked for one."""

    def __init__(self, opened: OpenedTarget) -> None:
        self._opened = opened
        self._layout: Optional[Layout] = None
        self._sought = False
        self._prog: Optional[drgn.Program] = opened.prog

    def _kallsyms(self) -> Optional[Layout]:
        """What has the dump's own symbols, if these are there and whole."""
        if not self._sought:
            self._sought = True
            try:
                from_dwarf = self._opened.layout.types_from != "btf"
                opened = self._opened
                self._layout = Layout.from_btf(opened.source) if from_dwarf else opened.layout
            except TargetError:
                pass
        return self._layout

    def name(self, address: int) -> Optional[str]:
        """ "function+0x12/0x40", or None."""
        layout = self._kallsyms()
        if layout is not None:
            found = layout.symbol_at(address)
            if found is None:
                return None
            name, offset, size = found
            return f"{name}+{offset:#x}" + (f"/{size:#x}" if size else "")
        prog = self.program()
        if prog is None:
            return None
        try:
            symbol = prog.symbol(address)
        except LookupError:
            return None
        return f"{symbol.name}+{address - symbol.address:#x}/{symbol.size:#x}"

    def program(self) -> Optional[drgn.Program]:
        """drgn's own view of the dump, with the debug info that was given."""
        if self._prog is None and self._opened.symbols:
            import drgn

            prog = drgn.Program()
            try:
                prog.set_core_dump(self._opened.files[0])
                prog.load_debug_info(self._opened.symbols[:1])
            except Exception:  # noqa: BLE001
                # What libelf and libkdumpfile say of a dump comes as just that.
                return None
            self._prog = prog
        return self._prog

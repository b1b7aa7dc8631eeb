# SPDX-License-Identifier: LGPL-2.1-or-later
"""Instants that chance seldom meets: a guest stopped in the middle of a kernel function."""

from __future__ import annotations

import re
from typing import Iterator

from .gdb import Gdb
from .kernels import Kernel
from .qemu import Machine
from .run import LabError, run, tool

# Where pages, lists and counters do not agree for a moment, by what storms.
FUNCTIONS: dict[str, tuple[str, ...]] = {
    "blocks": (
        "start_isolate_page_range",
        "undo_isolate_page_range",
        "__offline_isolated_pages",
        "offline_mem_sections",
        "online_mem_sections",
        "adjust_managed_page_count",
        "adjust_present_page_count",
        "remove_pfn_range_from_zone",
        "move_pfn_range_to_zone",
        "memmap_init_range",
        "generic_online_page",
    ),
    "hugetlb": (
        "remove_hugetlb_folio",
        "__remove_hugetlb_folio",
        "remove_hugetlb_page",
        "add_hugetlb_folio",
        "prep_new_hugetlb_folio",
        "prep_new_huge_page",
        "account_new_hugetlb_folio",
        "enqueue_hugetlb_folio",
        "enqueue_huge_page",
        "free_huge_folio",
        "free_huge_page",
        "alloc_surplus_hugetlb_folio",
        "__update_and_free_hugetlb_folio",
        "dequeue_hugetlb_folio_node_exact",
        "dissolve_free_huge_page",
    ),
    "compact": (
        "isolate_migratepages_block",
        "isolate_freepages_block",
        "compaction_alloc",
        "compaction_free",
        "release_freepages",
        "release_free_list",
        "__isolate_free_page",
        "migrate_folio_move",
        "folio_migrate_mapping",
        "putback_movable_pages",
    ),
    "thp": (
        "__split_huge_page",
        "__split_unmapped_folio",
        "__split_folio_to_order",
        "__split_huge_pmd_locked",
        "deferred_split_scan",
        "collapse_huge_page",
        "prep_compound_page",
        "prep_transhuge_page",
        "free_unref_folios",
        "free_unref_page_list",
        "destroy_large_folio",
        "free_compound_page",
    ),
    "reclaim": (
        "rmqueue_bulk",
        "free_pcppages_bulk",
        "drain_pages_zone",
        "__free_one_page",
        "isolate_lru_folios",
        "isolate_lru_pages",
        "move_folios_to_lru",
        "move_pages_to_lru",
        "shrink_folio_list",
        "shrink_page_list",
        "isolate_folios",
        "evict_folios",
        "folio_batch_move_lru",
        "pagevec_lru_move_fn",
        "lru_gen_add_folio",
        "folio_isolate_lru",
        "isolate_lru_page",
        "folios_put_refs",
        "release_pages",
        "lru_gen_change_state",
        "mem_cgroup_css_offline",
        "memcg_reparent_objcgs",
        "unreserve_highatomic_pageblock",
        "reserve_highatomic_pageblock",
        "move_freepages_block",
        "steal_suitable_fallback",
        "try_to_claim_block",
    ),
    "cache": ("__filemap_add_folio", "__filemap_remove_folio", "truncate_inode_pages_range"),
    "poison": ("take_page_off_buddy", "page_handle_poison", "soft_offline_page"),
    "cgroups": ("mem_cgroup_css_free",),
}
# A function that nobody calls meanwhile is passed over.
WAIT_SECONDS = 6.0


class Breakpoints:
    """Runs a guest to functions of its kernel, and to where they return."""

    def __init__(self, kernel: Kernel, machine: Machine) -> None:
        self._symbols: dict[str, int] = {}
        symbols = run([tool("nm", "binutils"), str(kernel.vmlinux)])
        for address, name in re.findall(r"^([0-9a-f]+) [tT] (\S+)$", symbols, re.M):
            self._symbols[name] = int(address, 16)
        stub = machine.work / "gdb.sock"
        machine.qmp.command("stop")
        machine.qmp.command(
            "human-monitor-command", command_line=f"gdbserver unix:{stub},server=on,wait=off"
        )
        kaslr = re.search(r"KERNELOFFSET=([0-9a-f]+)", machine.notes().decode("latin-1"))
        self._offset = int(kaslr[1], 16) if kaslr else 0
        self._gdb = Gdb(stub)

    def stops(self, function: str) -> Iterator[str]:
        """Stop where the function is entered, then where it returns to; says where."""
        if function not in self._symbols:
            return
        if not self._gdb.try_run_to(self._symbols[function] + self._offset, WAIT_SECONDS):
            return
        yield f"{function}()"
        stack = self._gdb.register("rsp")
        back = int.from_bytes(bytes.fromhex(self._gdb.ask(f"m{stack:x},8")), "little")
        if self._gdb.try_run_to(back, WAIT_SECONDS):
            yield f"after {function}()"

    def detach(self) -> None:
        """Let the guest run on."""
        try:
            self._gdb.detach()
        except OSError:
            raise LabError("QEMU's gdb stub went away") from None

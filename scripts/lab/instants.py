# SPDX-License-Identifier: LGPL-2.1-or-later
"""Instants that chance seldom meets: a guest stopped in the middle of a kernel function."""

from __future__ import annotations

import re
from typing import Iterator, Optional, Sequence

from .gdb import Gdb
from .kernels import Kernel
from .qemu import Machine
from .run import LabError, run, tool

# Where pages, lists and counters do not agree for a moment, by what storms. A kernel has some
# of them; of a>b it is b within a, or soon after it.
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
        "hugetlb_fault",
        "hugetlb_no_page",
        "hugetlb_cow",
        "hugetlb_wp",
        "copy_hugetlb_page_range",
        "huge_pmd_share",
        "huge_pmd_unshare",
        "__unmap_hugepage_range>page_remove_rmap",
        "__unmap_hugepage_range>__tlb_remove_page_size",
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
        "try_to_unmap_one>page_remove_rmap",
        "try_to_migrate_one>page_remove_rmap",
        "try_to_migrate_one>folio_remove_rmap_ptes",
        "set_pmd_migration_entry>page_remove_rmap",
        "set_pmd_migration_entry>folio_remove_rmap_pmd",
        "move_to_new_page",
        "move_to_new_folio",
        "migrate_page_move_mapping",
        "remove_migration_pte",
        "remove_migration_pte>page_add_anon_rmap",
        "remove_migration_pte>page_add_file_rmap",
        "remove_migration_pte>folio_add_anon_rmap_ptes",
        "remove_migration_pte>folio_add_file_rmap_ptes",
        "remove_migration_pmd",
        "write_protect_page",
        "try_to_merge_one_page>page_remove_rmap",
        "try_to_merge_one_page>folio_remove_rmap_ptes",
        "putback_lru_page",
        "folio_putback_lru",
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
        "page_remove_rmap",
        "folio_remove_rmap_ptes",
        "folio_remove_rmap_pmd",
        "page_add_anon_rmap",
        "page_add_new_anon_rmap",
        "page_add_file_rmap",
        "folio_add_anon_rmap_ptes",
        "folio_add_anon_rmap_pmd",
        "folio_add_new_anon_rmap",
        "folio_add_file_rmap_ptes",
        "folio_add_file_rmap_pmd",
        "zap_huge_pmd>page_remove_rmap",
        "zap_huge_pmd>folio_remove_rmap_pmd",
        "copy_huge_pmd",
        "do_huge_pmd_anonymous_page",
        "do_huge_pmd_wp_page",
        "do_wp_page",
        "wp_page_copy",
        "move_huge_pmd",
        "__split_huge_pmd",
        "__split_huge_pmd>page_add_anon_rmap",
        "__split_huge_pmd>folio_add_anon_rmap_ptes",
        "split_huge_page_to_list>try_to_unmap_one",
        "split_huge_page_to_list>try_to_migrate_one",
        "split_huge_page_to_list>remove_migration_ptes",
        "split_huge_page_to_list>remap_page",
        "split_huge_page_to_list_to_order>try_to_migrate_one",
        "split_huge_page_to_list_to_order>remove_migration_ptes",
        "__folio_split>try_to_migrate_one",
        "__folio_split>remove_migration_ptes",
        "collapse_huge_page>page_remove_rmap",
        "collapse_huge_page>folio_remove_rmap_ptes",
        "collapse_huge_page>folio_add_new_anon_rmap",
        "collapse_file",
        "collapse_file>try_to_unmap",
        "collapse_pte_mapped_thp",
        "collapse_pte_mapped_thp>page_remove_rmap",
        "retract_page_tables",
        "tlb_flush_mmu",
        "tlb_finish_mmu",
        "free_pages_and_swap_cache",
        "__tlb_remove_page_size",
        "__tlb_remove_folio_pages",
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
        "try_to_unmap_one",
        "try_to_unmap_one>page_remove_rmap",
        "try_to_unmap_one>folio_remove_rmap_ptes",
        "add_to_swap",
        "add_to_swap_cache",
        "folio_alloc_swap",
        "__swap_cache_add_folio",
        "__delete_from_swap_cache",
        "delete_from_swap_cache",
        "__swap_cache_del_folio",
        "do_swap_page",
        "do_swap_page>page_add_anon_rmap",
        "do_swap_page>folio_add_anon_rmap_ptes",
        "post_alloc_hook",
        "free_unref_page_commit",
        "__free_pages_ok",
        "free_unref_page",
        "free_frozen_pages",
    ),
    "cache": ("__filemap_add_folio", "__filemap_remove_folio", "truncate_inode_pages_range"),
    "poison": ("take_page_off_buddy", "page_handle_poison", "soft_offline_page"),
    "cgroups": ("mem_cgroup_css_free",),
    "lent": (
        "pin_user_pages_fast",
        "try_grab_page",
        "try_grab_compound_head",
        "try_grab_folio",
        "try_grab_folio_fast",
        "unpin_user_page",
        "unpin_user_page_range_dirty_lock",
        "gup_put_folio",
        "iov_iter_get_pages2",
        "iov_iter_extract_pages",
        "bio_release_pages",
        "__bio_release_pages",
        "splice_folio_into_pipe",
        "page_cache_pipe_buf_release",
        "generic_pipe_buf_release",
        "skb_copy_ubufs",
        "skb_release_data",
        "huge_pmd_unshare",
        "page_remove_rmap",
        "folio_remove_rmap_ptes",
    ),
}
# A function that nobody calls meanwhile is passed over.
WAIT_SECONDS = 6.0
# Longer than any guest lives.
SLEEP_MS = 100_000_000
# A direct call of x86-64.
CALL_BYTES = 5


class Breakpoints:
    """Runs a guest to functions of its kernel, and to where they return."""

    def __init__(self, kernel: Kernel, machine: Machine) -> None:
        self._vmlinux = str(kernel.vmlinux)
        self._symbols: dict[str, int] = {}
        self._sizes: dict[str, int] = {}
        symbols = run([tool("nm", "binutils"), "-S", self._vmlinux])
        found = re.findall(r"^([0-9a-f]+)(?: ([0-9a-f]+))? [tT] (\S+)$", symbols, re.M)
        for address, size, full_name in found:
            # Where a compiler has made a clone of a function, it is often all there is.
            name = re.sub(r"\.(isra|constprop)\.[0-9]+$", "", full_name)
            self._symbols[name] = int(address, 16)
            self._sizes[name] = int(size or "0", 16)
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
        names = function.split(">")
        if any(name not in self._symbols for name in names):
            return
        for name in names:
            if self.run_to([self.address(name)], WAIT_SECONDS) is None:
                return
        yield f"{function}()"
        stack = self._gdb.register("rsp")
        back = self.read_u64(stack)
        if self.run_to([back], WAIT_SECONDS) is not None:
            yield f"after {function}()"

    def stop_in(self, function: str, times: int = 1) -> str:
        """Stop where the function is entered for the so manieth time; says where."""
        for time in range(times):
            stops = self.stops(function)
            if not next(stops, ""):
                raise LabError(f"nobody came to {function}()")
            if time + 1 < times:
                # Run to behind it: where it is stopped already it would not stop again.
                next(stops, "")
                function = function.split(">")[-1]
        return f"{function}()"

    def has(self, function: str) -> bool:
        """Whether the kernel has it, and not only inlined."""
        return function in self._symbols

    def address(self, function: str) -> int:
        """Where it begins, in this guest."""
        return self._symbols[function] + self._offset

    def calls(self, function: str, callee: str) -> "list[int]":
        """Where in a function another is called."""
        start = self._symbols[function]
        end = start + self._sizes[function]
        code = run(
            [
                *(tool("objdump", "binutils"), "-d", "--no-show-raw-insn"),
                *(f"--start-address={start:#x}", f"--stop-address={end:#x}", self._vmlinux),
            ]
        )
        sites = re.findall(
            rf"^([0-9a-f]+):\s+call.*<{re.escape(callee)}(?:[.][a-z0-9.]+)?>", code, re.M
        )
        return [int(site, 16) + self._offset for site in sites]

    def run_to(self, addresses: "Sequence[int]", seconds: float) -> Optional[int]:
        """To the first of some instructions; where nobody comes to one, None."""
        return self._gdb.try_run_to(addresses, seconds)

    def register(self, name: str) -> int:
        """A register of the CPU that stopped."""
        return self._gdb.register(name)

    def read_u64(self, address: int) -> int:
        """Eight bytes of the guest."""
        return int.from_bytes(bytes.fromhex(self._gdb.ask(f"m{address:x},8")), "little")

    def sleep_instead_of_call(self) -> None:
        """At a call: it is msleep() that is called, and will return some day."""
        stack = self._gdb.register("rsp") - 8
        back = self._gdb.register("rip") + CALL_BYTES
        self._gdb.ask(f"M{stack:x},8:{back.to_bytes(8, 'little').hex()}")
        self._gdb.set_register("rsp", stack)
        self._gdb.set_register("rdi", SLEEP_MS)
        self._gdb.set_register("rip", self.address("msleep"))

    def detach(self) -> None:
        """Let the guest run on."""
        try:
            self._gdb.detach()
        except OSError:
            raise LabError("QEMU's gdb stub went away") from None

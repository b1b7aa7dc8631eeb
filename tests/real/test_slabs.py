# SPDX-License-Identifier: LGPL-2.1-or-later
"""The objects of slab caches, beside those that drgn's helpers find."""

from __future__ import annotations

import contextlib

import drgn
from drgn.helpers.linux import mm, slab
from drgn.helpers.linux.cpumask import for_each_possible_cpu
from drgn.helpers.linux.percpu import per_cpu_ptr
from dumps import Open
from lab import make

#: Caches of every kernel: of one object a page and of many, merged and not.
CACHES = ("mm_struct", "filp", "dentry", "radix_tree_node", "kmalloc-64", "task_struct")


def program(kernel: str) -> drgn.Program:
    dump = make.dump(kernel, "light")
    prog = drgn.Program()
    prog.set_core_dump(dump.vmcore)
    prog.load_debug_info([dump.vmlinux])
    return prog


def objects(prog: drgn.Program, name: str) -> "tuple[drgn.Object, set[int]]":
    """A cache and its allocated objects, by drgn."""
    cache = slab.find_slab_cache(prog, name)
    assert cache is not None, name
    found = slab.slab_cache_for_each_allocated_object(cache, "void")
    return cache, {each.value_() for each in found}


def waiting(cache: drgn.Object) -> "set[int]":
    """Objects given to kfree_rcu(), which drgn takes for allocated: in rcu_free sheaves."""
    found: "set[int]" = set()
    with contextlib.suppress(AttributeError):
        for cpu in for_each_possible_cpu(cache.prog_):
            sheaf = per_cpu_ptr(cache.cpu_sheaves, cpu).rcu_free
            if sheaf:
                found.update(each.value_() for each in sheaf.objects[: sheaf.size])
    return found


def test_objects(kernel: str, open_dump: Open) -> None:
    """Every allocated object of a cache, and none that is free."""
    prog, opened = program(kernel), open_dump(kernel)
    for name in CACHES:
        cache, expected = objects(prog, name)
        (found,) = opened.kernel.slabs([cache.name.string_().decode()])
        assert len(set(found)) == len(found)
        assert len(expected) >= 10, name
        assert set(found) == expected - waiting(cache), name


def test_places(kernel: str, open_dump: Open) -> None:
    """Which object an address is in, allocated or free, and what is in none."""
    prog, opened = program(kernel), open_dump(kernel)
    addresses = []
    for name in CACHES:
        cache, expected = objects(prog, name)
        size = cache.size.value_()
        # The neighbours are allocated, free, or in other slabs.
        for address in sorted(expected)[:: max(1, len(expected) // 40)]:
            addresses += [address + 8, address + size + 1, address - size]
    addresses += [prog["init_task"].address_of_().value_(), 0, 0xFFFF888000000000]
    seen = {"allocated": 0, "free": 0, "padding": 0, "none": 0}
    for address, place in zip(addresses, opened.kernel.slabs(addresses)):
        info = slab.slab_object_info(prog, address)
        if info is None:
            assert place is None, hex(address)
            seen["none"] += 1
            continue
        base = mm.page_to_virt(drgn.cast("struct page *", info.slab)).value_()
        if info.address - base >= info.slab.objects * info.slab_cache.size:
            # drgn goes on counting behind the last one.
            assert not place["object"], hex(address)
            assert not place["allocated"]
            seen["padding"] += 1
            continue
        assert place == {
            "cache": info.slab_cache.name.string_().decode()[:31],
            "object": info.address,
            "offset": address - info.address,
            "allocated": info.allocated and info.address not in waiting(info.slab_cache),
        }
        seen["allocated" if info.allocated else "free"] += 1
    assert min(seen.values()) >= 2, seen

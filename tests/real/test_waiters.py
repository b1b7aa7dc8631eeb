# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who waits for a page: real waiters beside drgn's view of them, and planted ones."""

from __future__ import annotations

from typing import Any, Iterator

import drgn
import pytest
from drgn.helpers.linux import mm
from drgn.helpers.linux.list import list_for_each_entry
from drgn.helpers.linux.pid import for_each_task
from dumps import Open
from lab import make
from planting import OpenSite, Site, has_member

QUEUES = 256
#: What a task that waits for a folio's flag is in.
WAITING = ("wait_on_page_bit_common", "folio_wait_bit_common", "migration_entry_wait_on_locked")
WQ_FLAG_EXCLUSIVE = 1


def program(kernel: str, recipe: str) -> drgn.Program:
    dump = make.dump(kernel, recipe)
    prog = drgn.Program()
    prog.set_core_dump(dump.vmcore)
    prog.load_debug_info([dump.vmlinux])
    return prog


def page_table(prog: drgn.Program) -> drgn.Object:
    """folio_wait_table, of pages before v5.16."""
    try:
        return prog["folio_wait_table"]
    except KeyError:
        return prog["page_wait_table"]


def target_of(entry: drgn.Object) -> drgn.Object:
    """The folio or page that a wait_page_queue names."""
    return entry.folio if has_member(entry[0], "folio") else entry.page


def queued(prog: drgn.Program) -> "Iterator[tuple[int, int, int, int]]":
    """Task, page, bit and entry of each waiter for a page."""
    for queue in page_table(prog):
        head = queue.head.address_of_()
        for entry in list_for_each_entry(prog.type("struct wait_queue_entry"), head, "entry"):
            page = drgn.container_of(entry, "struct wait_page_queue", "wait")
            where = entry.value_()
            yield entry.private.value_(), target_of(page).value_(), int(page.bit_nr), where


def is_waiting(prog: drgn.Program, task: drgn.Object) -> bool:
    try:
        return any(frame.name in WAITING for frame in prog.stack_trace(task))
    except drgn.FaultError:
        # A task that is being made, or gone: its stack is no more.
        return False


def test_waiters(kernel: str, open_dump: Open) -> None:
    """The tasks in the queues, which are those that stand in the function that waits."""
    prog = program(kernel, "census")
    found = open_dump(kernel, "census").kernel.waiters()
    waiters = [w for w in found["waiters"] if w["pfn"] is not None]
    assert not found["unreadable"]
    assert {(w["task"], w["what"], w["bit"], w["entry"]) for w in waiters} == set(queued(prog))
    assert waiters
    sleeping = [task for task in for_each_task(prog) if not task.on_cpu]
    standing = {task.value_() for task in sleeping if is_waiting(prog, task)}
    assert {w["task"] for w in waiters} >= standing
    for waiter in waiters:
        page = drgn.Object(prog, "struct page *", waiter["what"])
        assert int(mm.page_to_pfn(page)) == waiter["pfn"]
        assert waiter["kind"] == "the lock"
    for page in found["pages"]:
        struct_page = mm.pfn_to_page(prog, page["pfn"])
        assert page["locked"] == bool(mm.PageLocked(struct_page))
        assert page["writeback"] == bool(mm.PageWriteback(struct_page))
        assert page["refcount"] == int(struct_page._refcount.counter)
        assert page["waiters"] == sum(w["pfn"] == page["pfn"] for w in waiters)


def test_nobody_waits(kernel: str, open_dump: Open) -> None:
    found = open_dump(kernel, "light").kernel.waiters()
    assert found == {"waiters": [], "pages": [], "others": 0, "unreadable": 0}


# Planted.


@pytest.fixture
def waiting_site(kernel: str, open_site: OpenSite) -> Iterator[Site]:
    site = open_site(kernel, "light")
    with site.planted():
        yield site


class Sleeper:
    """A sleeping task, with room for wait queue entries where its stack is dead."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.task = next(
            task
            for task in for_each_task(site.prog)
            if task.mm and not task.on_cpu and task.stack and int(task.pid) > 1
        )
        self.room = self.task.stack.value_() + 1024

    def take(self, kind: str) -> drgn.Object:
        """A zeroed structure of that type."""
        size = drgn.sizeof(self.site.prog.type(kind))
        at = self.room
        self.room += size
        self.site.write(at, bytes(size))
        return drgn.Object(self.site.prog, kind, address=at)

    def queue(self, entry: drgn.Object, table: drgn.Object, function: str, nr: int) -> int:
        """Fill a wait_queue_entry in and put it into a queue; its address."""
        site = self.site
        site.set(entry.private, self.task.value_())
        site.set(entry.func, site.prog.symbol(function).address)
        site.list_add(entry.entry, table[nr].head)
        address = entry.address_
        assert address is not None
        return int(address)

    def wait_for_page(self, pfn: int, flag: str, nr: int = 77) -> int:
        wait = self.take("struct wait_page_queue")
        self.site.set(target_of(wait.address_of_()), int(self.site.page(pfn)))
        self.site.set(wait.bit_nr, int(self.site.prog.constant(flag)))
        table = page_table(self.site.prog)
        return self.queue(wait.wait, table, "wake_page_function", nr)

    def wait_for_bit(self, address: int, bit: int, function: str) -> int:
        wait = self.take("struct wait_bit_queue_entry")
        self.site.set(wait.key.flags, address)
        self.site.set(wait.key.bit_nr, bit)
        table = self.site.prog["bit_wait_table"]
        return self.queue(wait.wq_entry, table, function, QUEUES - 1)


def waiters(site: Site) -> "dict[int, dict[str, Any]]":
    """Waiters by entry; all are whole."""
    found = site.kernel().waiters()
    assert not found["others"]
    assert not found["unreadable"]
    return {waiter["entry"]: waiter for waiter in found["waiters"]}


def test_planted(waiting_site: Site) -> None:
    """Each kind of waiter, with the task, and what is waited for."""
    site, sleeper = waiting_site, Sleeper(waiting_site)
    pfn = site.events("pipe")[0]["pfn"]
    count = site.page(pfn)._refcount.address_of_().value_()
    expected = {
        sleeper.wait_for_page(pfn, "PG_locked"): ("the lock", pfn),
        sleeper.wait_for_page(pfn, "PG_writeback"): ("the end of writeback", pfn),
        sleeper.wait_for_page(pfn + 1, "PG_private_2", 3): ("PG_private_2", pfn + 1),
        sleeper.wait_for_page(pfn + 1, "PG_uptodate", 3): ("a flag", pfn + 1),
        sleeper.wait_for_bit(count, -1, "var_wake_function"): ("the references", pfn),
        sleeper.wait_for_bit(int(site.page(pfn)), -1, "var_wake_function"): (
            "the references",
            pfn,
        ),
        sleeper.wait_for_bit(sleeper.task.value_(), 3, "wake_bit_function"): ("a bit", None),
        sleeper.wait_for_bit(sleeper.task.value_(), -1, "var_wake_function"): (
            "a variable",
            None,
        ),
    }
    found = waiters(site)
    assert {entry: (w["kind"], w["pfn"]) for entry, w in found.items()} == expected
    assert {w["task"] for w in found.values()} == {sleeper.task.value_()}
    pages = {page["pfn"]: page for page in site.kernel().waiters()["pages"]}
    assert {each: page["waiters"] for each, page in pages.items()} == {pfn: 4, pfn + 1: 2}
    site.expect_nothing()


def test_exclusive(waiting_site: Site) -> None:
    """Whether a waiter is to get the lock, and with it has a reference."""
    site, sleeper = waiting_site, Sleeper(waiting_site)
    pfn = site.events("pipe")[0]["pfn"]
    entry = sleeper.wait_for_page(pfn, "PG_locked")
    assert not waiters(site)[entry]["exclusive"]
    wait = drgn.Object(site.prog, "struct wait_queue_entry", address=entry)
    site.set(wait.flags, WQ_FLAG_EXCLUSIVE)
    assert waiters(site)[entry]["exclusive"]


def test_not_on_the_stack(waiting_site: Site) -> None:
    """An entry of a task on whose stack it does not lie is not believed."""
    site, sleeper = waiting_site, Sleeper(waiting_site)
    entry = sleeper.wait_for_page(site.events("pipe")[0]["pfn"], "PG_locked")
    other = next(t for t in for_each_task(site.prog) if t != sleeper.task and t.stack)
    wait = drgn.Object(site.prog, "struct wait_queue_entry", address=entry)
    site.set(wait.private, other.value_())
    found = site.kernel().waiters()
    assert not found["waiters"]
    assert found["unreadable"] == 1


def test_nobody_works_on_it(kernel: str, open_site: OpenSite) -> None:
    """A locked folio that is waited for; then with all gone that names it but the waiters."""
    site = open_site(kernel, "census")
    with site.planted():
        site.expect_nothing()
        assert not any(f["check"] == "page-lock" for f in site.audit().findings)
        task, page, _, _ = next(queued(site.prog))
        pfn = site.pfn(drgn.Object(site.prog, "struct page *", page))
        named = [
            hit
            for hit in site.kernel().search([pfn])["hits"]
            if hit["word"] & ~3 == page and hit["place"]["kind"] != "stack"
        ]
        assert named
        for hit in named:
            site.core.write(hit["phys"], bytes(8))
        (finding,) = (f for f in site.audit().findings if f["check"] == "page-lock")
        assert (finding["pfn"], finding["severity"]) == (pfn, "info")
        waiter = drgn.Object(site.prog, "struct task_struct *", task)
        assert f"(pid {int(waiter.pid)})" in finding["evidence"]["task"]

# SPDX-License-Identifier: LGPL-2.1-or-later
"""What %pageaudit does, and the drgn code that does the same."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Dict, List, Tuple

from drgn_contrib import _pageaudit, target
from drgn_contrib.cli import known_checks
from drgn_contrib.page_argument import UsageError, is_page, page_number, pfn_of
from drgn_contrib.run import describe, run

if TYPE_CHECKING:
    import argparse

    import drgn

_AUDIT = """\
import drgn_contrib

report = drgn_contrib.audit(prog{arguments})
for finding in report.findings:
    print(finding.severity, finding.summary, finding.page)
"""

_PAGE = """\
from drgn.helpers.linux.mm import compound_head
from drgn_contrib.helpers import page_expected_count, page_holders, pfn_to_page
{imports}
for pfn in [{pfns}]:
    page = pfn_to_page(prog, pfn)
    print(compound_head(page)._refcount.counter, page_expected_count(page))
    for holder in page_holders(page):
        print(holder)
"""

_OPENED = """\
from drgn_contrib.target import opened_program
"""

_WHO = """\
from drgn_contrib.target import opened_program
from drgn_contrib.who import who

for page in who(opened_program(prog), [{pfns}]):
    for holder in page["references"]:
        print(holder)
    for word in page["words"]:
        print(word)
"""

_MAP = """\
from drgn_contrib.target import opened_program

memory = opened_program(prog).kernel.memory()
for what in ("map", "zones", "blocks", "pgmaps"):
    for each in memory[what]:
        print(what, each)
"""

_CHECKS = """\
from drgn_contrib import _pageaudit

for check in _pageaudit.checks():
    print(check["id"], check["summary"])
"""

_DOC = """\
from drgn_contrib import _pageaudit

for check in _pageaudit.checks():
    if check["id"] in {ids}:
        print(check["id"], check["doc"])
"""

#: A pfn in code, by what people called the page.
_PFN = {
    "pfn": "{0:#x}",
    "address": "opened_program(prog).kernel.resolve({0:#x})",
    "phys": '{0:#x} >> prog["PAGE_SHIFT"].value_()',
}


def run_command(prog: drgn.Program, args: argparse.Namespace) -> None:
    """Run %pageaudit with its parsed arguments.

    :raises CommandError: The arguments make no sense, or the Program can't be analysed.
    """
    from drgn.commands import CommandError

    try:
        sys.stdout.write(_code(args) if args.drgn else _answer(prog, args))
    except (UsageError, ValueError, _pageaudit.TargetError) as error:
        raise CommandError(str(error)) from None


def _code(args: argparse.Namespace) -> str:
    """Python that gets the objects that the answer is made of."""
    if args.what == "checks":
        ids = [check["id"] for check in _asked_checks(args.page)]
        return _DOC.format(ids=ids) if args.page else _CHECKS
    if args.what == "audit":
        _no_pages(args)
        checks = known_checks(args.checks)
        return _AUDIT.format(arguments=f", checks={checks}" if checks else "")
    if args.what == "map":
        _no_pages(args)
        return _MAP
    numbers = _numbers(args.page)
    pfns = ", ".join(_PFN[kind].format(number) for kind, number in numbers)
    if args.what == "who":
        return _WHO.format(pfns=pfns)
    by_address = any(kind == "address" for kind, _ in numbers)
    return _PAGE.format(pfns=pfns, imports=_OPENED if by_address else "")


def _answer(prog: drgn.Program, args: argparse.Namespace) -> str:
    if args.what == "checks":
        from drgn_contrib.text import checks_text

        return checks_text(_asked_checks(args.page), full=bool(args.page))
    if args.what == "audit":
        from drgn_contrib.text import report_text

        _no_pages(args)
        checks = known_checks(args.checks)
        known = [check["id"] for check in _pageaudit.checks()]
        report = run(target.open_program(prog), checks)
        return report_text(report, verbose=args.verbose, known=known)
    if args.what == "map":
        from drgn_contrib.text import map_text

        _no_pages(args)
        opened = target.open_program(prog)
        return map_text(opened.kernel.memory(), describe(opened))
    numbers = _numbers(args.page)
    opened = target.open_program(prog)
    pfns = [pfn_of(opened.kernel, kind, number) for kind, number in numbers]
    if args.what == "who":
        from drgn_contrib.who import who
        from drgn_contrib.who_text import who_texts

        return who_texts(who(opened, pfns), verbose=args.verbose)
    from drgn_contrib.dossier import dossiers
    from drgn_contrib.dossier_text import dossier_texts

    return dossier_texts(dossiers(opened, pfns), verbose=args.verbose)


def _no_pages(args: argparse.Namespace) -> None:
    if args.page:
        raise UsageError(f"{args.what} takes no pages")


def _numbers(texts: "List[str]") -> "List[Tuple[str, int]]":
    if not texts:
        raise UsageError("give a pfn or an address")
    for text in texts:
        if not is_page(text):
            raise UsageError(f"{text!r} is neither a pfn nor an address")
    return [page_number(text) for text in texts]


def _asked_checks(ids: "List[str]") -> "List[Dict[str, str]]":
    checks = _pageaudit.checks()
    known = [check["id"] for check in checks]
    for each in ids:
        if each not in known:
            raise UsageError(f"there is no check {each!r}")
    return [check for check in checks if not ids or check["id"] in ids]

# SPDX-License-Identifier: LGPL-2.1-or-later
"""What %pageaudit does, and the drgn code that does the same."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Dict, List

from drgn_contrib import _pageaudit, target
from drgn_contrib.page_argument import UsageError, is_page, page_number, pfn_of
from drgn_contrib.run import describe, run

if TYPE_CHECKING:
    import argparse

    import drgn

_CODE: Dict[str, str] = {
    "audit": """\
import drgn_contrib

report = drgn_contrib.audit(prog)
for finding in report.findings:
    print(finding.severity, finding.summary, finding.page)
""",
    "page": """\
from drgn.helpers.linux.mm import compound_head
from drgn_contrib.helpers import page_expected_count, page_holders, pfn_to_page

page = pfn_to_page(prog, pfn)
print(compound_head(page)._refcount.counter, page_expected_count(page))
for holder in page_holders(page):
    print(holder)
""",
    "map": """\
from drgn_contrib.helpers import for_each_online_page, get_dev_pagemap

for page in for_each_online_page(prog):
    ...
""",
    "checks": """\
from drgn_contrib import _pageaudit

for check in _pageaudit.checks():
    print(check["id"], check["summary"])
""",
}
_CODE["who"] = _CODE["page"]


def run_command(prog: drgn.Program, args: argparse.Namespace) -> None:
    """Run %pageaudit with its parsed arguments.

    :raises CommandError: The arguments make no sense, or the Program can't be analysed.
    """
    from drgn.commands import CommandError

    if args.drgn:
        sys.stdout.write(_CODE[args.what])
        return
    try:
        sys.stdout.write(_answer(prog, args))
    except (UsageError, ValueError, _pageaudit.TargetError) as error:
        raise CommandError(str(error)) from None


def _answer(prog: drgn.Program, args: argparse.Namespace) -> str:
    if args.what == "checks":
        return _checks(args.page)
    if args.page and args.what in ("audit", "map"):
        raise UsageError(f"{args.what} takes no pages")
    opened = target.open_program(prog)
    known = [check["id"] for check in _pageaudit.checks()]
    if args.what == "audit":
        from drgn_contrib.text import report_text

        ids = [each for each in (args.checks or "").split(",") if each]
        return report_text(run(opened, ids or None), verbose=args.verbose, known=known)
    if args.what == "map":
        from drgn_contrib.text import map_text

        return map_text(opened.kernel.memory(), describe(opened))
    pfns = _pfns(opened, args.page)
    if args.what == "who":
        from drgn_contrib.who import who
        from drgn_contrib.who_text import who_texts

        return who_texts(who(opened, pfns), verbose=args.verbose)
    from drgn_contrib.dossier import dossiers
    from drgn_contrib.dossier_text import dossier_texts

    return dossier_texts(dossiers(opened, pfns), verbose=args.verbose)


def _pfns(opened: target.OpenedTarget, texts: "List[str]") -> "List[int]":
    if not texts:
        raise UsageError("give a pfn or an address")
    for text in texts:
        if not is_page(text):
            raise UsageError(f"{text!r} is neither a pfn nor an address")
    return [pfn_of(opened.kernel, *page_number(text)) for text in texts]


def _checks(ids: "List[str]") -> str:
    from drgn_contrib.text import checks_text

    checks: "List[Dict[str, Any]]" = list(_pageaudit.checks())
    known = [check["id"] for check in checks]
    for each in ids:
        if each not in known:
            raise UsageError(f"there is no check {each!r}")
    if ids:
        checks = [check for check in checks if check["id"] in ids]
    return checks_text(checks, full=bool(ids))

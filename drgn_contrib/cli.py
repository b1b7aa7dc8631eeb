# SPDX-License-Identifier: LGPL-2.1-or-later
"""The command: pageaudit TARGET, and its subcommands."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import sys
import traceback
from typing import TYPE_CHECKING, Any, Callable, Iterator, Mapping, NoReturn, Optional, Sequence

from drgn_contrib.output import (
    STDOUT,
    OutputError,
    OutputFile,
    output_file,
    print_text,
    silence,
)
from drgn_contrib.page_argument import UsageError, is_page, page_number, pfn_of
from drgn_contrib.report import MAP_SCHEMA, ExitStatus

if TYPE_CHECKING:
    from drgn_contrib.report import Report
    from drgn_contrib.run import Progress
    from drgn_contrib.target import OpenedTarget

#: Far behind everybody who has something to do, and not starved.
LIVE_NICE = 10

_MAX_THREADS = 1024
#: 2^60 bytes: what setrlimit() takes for a number.
_MAX_MIB = 1 << 40

_EPILOG = """\
exit status of an audit: 0 nothing above "info" and every check ran or does not
apply; 1 at least one bug or suspect; 2 the target can't be analysed; 3 nothing
above "info", but a check was partial, skipped or failed; 64 wrong usage; 70 a
mistake of pageaudit's own; 74 the report can't be written; 130 interrupted

other commands:
  pageaudit page TARGET PFN|0xADDR|phys:0xADDR...   what is known of a page
  pageaudit who TARGET PFN|0xADDR|phys:0xADDR...    who holds a page
  pageaudit map TARGET                              how memory is laid out
  pageaudit checks [ID]                             what is checked
--live instead of TARGET is the running kernel. A file with the name of a
command is given as ./NAME.
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see {self.prog} --help)")


def _number(low: int, high: int) -> Callable[[str], int]:
    """A type of arguments: what the kernel takes, or C, whose numbers have an end."""

    def number(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"it must be from {low} to {high}")
        return value

    return number


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-s",
        "--symbols",
        metavar="FILE",
        action="append",
        default=[],
        help="the kernel's vmlinux with debug info, then debug files of modules; "
        "not needed where the dump has BTF or drgn finds the debug info",
    )
    parser.add_argument(
        "--json",
        metavar="FILE",
        help="write JSON to FILE, or to standard output and nothing else (-)",
    )
    parser.add_argument(
        "-j",
        "--threads",
        metavar="N",
        type=_number(0, _MAX_THREADS),
        default=0,
        help="threads to use (default: one a processor; live, one less)",
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="leave nothing out")
    parser.add_argument(
        "--live", action="store_true", help="the running kernel (/proc/kcore) instead of TARGET"
    )
    parser.add_argument(
        "--nice",
        metavar="N",
        type=_number(-20, 19),
        help=f"with --live: how nice to be to other processes (default: {LIVE_NICE})",
    )
    parser.add_argument(
        "--max-memory",
        metavar="MIB",
        type=_number(0, _MAX_MIB),
        default=0,
        help="give up rather than use more memory (default: no bound)",
    )


def _audit_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="pageaudit",
        description="Audit the Linux kernel's map of physical memory, in a vmcore or running.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "target", metavar="TARGET", nargs="*", help="the vmcore, or all files of a split one"
    )
    _add_common(parser)
    parser.add_argument(
        "--checks", metavar="ID,...", help="run only these checks (see pageaudit checks)"
    )
    parser.add_argument(
        "--max-cpu",
        metavar="PERCENT",
        type=_number(0, 100 * _MAX_THREADS),
        default=0,
        help="use at most so much of one processor (default: no bound)",
    )
    parser.add_argument(
        "--html",
        metavar="FILE",
        help="write one page for a browser, with a picture of memory, to FILE (or to "
        "standard output: -)",
    )
    parser.add_argument(
        "--summary", action="store_true", help="print one line, as for a ticket, instead of all"
    )
    parser.add_argument(
        "--no-progress", action="store_true", help="no progress bar, even on a terminal"
    )
    parser.add_argument("--version", action="store_true", help="show the versions and exit")
    return parser


def _map_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="pageaudit map",
        description="Show sections, zones, memory blocks and device memory.",
        allow_abbrev=False,
    )
    parser.add_argument("target", metavar="TARGET", nargs="*", help="the vmcore")
    _add_common(parser)
    return parser


def _page_parser(command: str, description: str) -> argparse.ArgumentParser:
    parser = _Parser(prog=f"pageaudit {command}", description=description, allow_abbrev=False)
    parser.add_argument(
        "target",
        metavar="TARGET",
        nargs="*",
        help="the vmcore, then pages: a pfn (decimal or 0x), the address of a struct page or "
        "of the direct map (0xffff...), or a physical address (phys:0x...)",
    )
    _add_common(parser)
    return parser


def _checks_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="pageaudit checks", description="Show what is checked.", allow_abbrev=False
    )
    parser.add_argument("id", metavar="ID", nargs="?", help="one check, in full")
    return parser


def _split_pages(
    command: str, arguments: Sequence[str], live: bool = False
) -> "tuple[list[str], list[tuple[str, int]]]":
    """Files of the target, then pages; the first is a file whatever its name."""
    pages = list(arguments if live else arguments[1:])
    files = [] if live else list(arguments[:1])
    while not live and pages and not is_page(pages[0]):
        files.append(pages.pop(0))
    for page in pages:
        if not is_page(page):
            raise UsageError(f"{page!r} is neither a pfn nor an address")
    if not pages:
        target = "" if live else "a TARGET and "
        raise UsageError(f"{command} needs {target}at least one pfn or address")
    return files, [page_number(page) for page in pages]


def known_checks(text: Optional[str]) -> "Optional[list[str]]":
    """Ids of --checks, each of which exists."""
    if text is None:
        return None
    from drgn_contrib import _pageaudit

    known = [check["id"] for check in _pageaudit.checks()]
    ids = [part.strip() for part in text.split(",") if part.strip()]
    if not ids:
        raise UsageError("--checks names no check")
    for each in ids:
        if each not in known:
            raise UsageError(f"there is no check {each!r} (see pageaudit checks)")
    return ids


def _open(options: argparse.Namespace, files: Sequence[str]) -> OpenedTarget:
    from drgn_contrib.bounds import be_nice, bound_memory
    from drgn_contrib.target import KCORE, open_target

    if options.live == bool(files):
        raise UsageError("give either a TARGET or --live")
    if options.live:
        files = [KCORE]
        be_nice(LIVE_NICE if options.nice is None else options.nice)
    elif options.nice is not None:
        raise UsageError("--nice goes with --live")
    if options.max_memory:
        bound_memory(options.max_memory << 20)
    return open_target(files, options.symbols, threads=options.threads)


@contextlib.contextmanager
def _progress(wanted: bool) -> Iterator[Optional[Progress]]:
    """A progress bar on a terminal's standard error."""
    if not wanted or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task("starting", total=None)

        def update(phase: str, done: int, total: int) -> None:
            bar.update(task, description=phase, completed=done, total=total or None)

        yield update


class _Output:
    """Where the answer goes: text to standard output, JSON and HTML to their files."""

    def __init__(self, stack: contextlib.ExitStack, options: argparse.Namespace) -> None:
        self._files: "dict[str, Optional[OutputFile]]" = {}
        others = [*options.target, *options.symbols]
        for form in ("json", "html"):
            path = getattr(options, form, None)
            if path is None:
                continue
            if path == STDOUT and self._alone:
                raise UsageError("only one of --json and --html can be on standard output")
            self._files[form] = stack.enter_context(output_file(path, others))
            others.append(path)

    @property
    def _alone(self) -> bool:
        """Whether one of them has standard output to itself."""
        return None in self._files.values()

    def has(self, form: str) -> bool:
        return form in self._files

    def write(self, text: str, data: Any, html: str = "") -> None:
        """All that is asked for; with "-" nothing else on standard output.

        What can be written is, whatever becomes of the rest.

        :raises OutputError: Some of it can't be written.
        """
        errors = []
        # Text first: it needs no room on a disk that is full.
        for form in ("text", "html", "json"):
            try:
                if form in self._files:
                    content = html if form == "html" else json.dumps(data, indent=2) + "\n"
                    self._write(self._files[form], content)
                elif form == "text" and not self._alone:
                    print_text(text)
            except OutputError as error:
                errors.append(str(error))
        if errors:
            raise OutputError("; ".join(errors))

    @staticmethod
    def _write(file: Optional[OutputFile], content: str) -> None:
        if file is None:
            print_text(content)
        else:
            file.write(content)


def _main_audit(argv: Sequence[str]) -> int:
    if "--version" in argv:
        return _version()
    options = _audit_parser().parse_args(argv)
    checks = known_checks(options.checks)
    with contextlib.ExitStack() as stack:
        output = _Output(stack, options)

        from drgn_contrib import _pageaudit
        from drgn_contrib.run import run
        from drgn_contrib.text import report_text, summary_line

        html = output.has("html")
        opened = _open(options, options.target)
        with _progress(not options.no_progress) as progress:
            report = run(opened, checks, progress, max_cpu=options.max_cpu, picture=html)
        known = _pageaudit.checks()
        if options.summary:
            text = summary_line(report)
        else:
            ids = [check["id"] for check in known]
            text = report_text(report, verbose=options.verbose, known=ids)
        output.write(text, report.to_json(), _html(report, known, options.symbols) if html else "")
        return report.exit_status


def _html(report: Report, checks: "Sequence[Mapping[str, str]]", symbols: "Sequence[str]") -> str:
    from drgn_contrib.html import report_html

    return report_html(report, checks, symbols)


def _main_map(argv: Sequence[str]) -> int:
    options = _map_parser().parse_args(argv)
    with contextlib.ExitStack() as stack:
        output = _Output(stack, options)

        from drgn_contrib.run import describe
        from drgn_contrib.text import map_text

        opened = _open(options, options.target)
        memory = opened.kernel.memory()
        target = describe(opened)
        data = {"schema": MAP_SCHEMA, "target": target.to_json(), **memory}
        output.write(map_text(memory, target), data)
        return _answered(memory)


def _main_page(argv: Sequence[str]) -> int:
    options = _page_parser("page", "Show everything that is known of a page.").parse_args(argv)
    files, numbers = _split_pages("page", options.target, options.live)
    with contextlib.ExitStack() as stack:
        output = _Output(stack, options)

        from drgn_contrib.dossier import dossiers
        from drgn_contrib.dossier_text import dossier_texts

        opened = _open(options, files)
        pages = dossiers(opened, [pfn_of(opened.kernel, kind, number) for kind, number in numbers])
        output.write(dossier_texts(pages, verbose=options.verbose), pages)
        return max(map(_told, pages))


def _main_who(argv: Sequence[str]) -> int:
    options = _page_parser(
        "who", "Show who holds a page: known holders, then all that names it."
    ).parse_args(argv)
    files, numbers = _split_pages("who", options.target, options.live)
    with contextlib.ExitStack() as stack:
        output = _Output(stack, options)

        from drgn_contrib.who import who
        from drgn_contrib.who_text import who_texts

        opened = _open(options, files)
        pages = who(opened, [pfn_of(opened.kernel, kind, number) for kind, number in numbers])
        output.write(who_texts(pages, verbose=options.verbose), pages)
        return max(map(_answered, pages))


def _told(page: Mapping[str, Any]) -> ExitStatus:
    """Whether all that there is to say of a page could be read."""
    unread = page["holders_unread"] or page["waiters_unknown"]
    return ExitStatus.PARTIAL if unread else _answered(page)


def _answered(answer: Mapping[str, Any]) -> ExitStatus:
    """Whether all of it could be read: "unread" says what could not."""
    return ExitStatus.PARTIAL if answer.get("unread") else ExitStatus.CLEAN


def _main_checks(argv: Sequence[str]) -> int:
    options = _checks_parser().parse_args(argv)

    from drgn_contrib import _pageaudit
    from drgn_contrib.text import checks_text

    checks = _pageaudit.checks()
    if options.id is not None:
        checks = [check for check in checks if check["id"] == options.id]
        if not checks:
            raise UsageError(f"there is no check {options.id!r} (see pageaudit checks)")
    print_text(checks_text(checks, full=options.id is not None))
    return ExitStatus.CLEAN


def _version() -> int:
    from drgn_contrib.run import tool

    about = tool()
    print_text(
        f"pageaudit {about.version} (drgn {about.drgn}, libkdumpfile {about.libkdumpfile}, "
        f"libdw {about.libdw})\n"
    )
    return ExitStatus.CLEAN


_COMMANDS = {"page": _main_page, "who": _main_who, "map": _main_map, "checks": _main_checks}


def _run(argv: Sequence[str]) -> int:
    from drgn_contrib._pageaudit import TargetError
    from drgn_contrib.text import clean

    try:
        if argv and argv[0] in _COMMANDS:
            return _COMMANDS[argv[0]](argv[1:])
        return _main_audit(argv)
    except UsageError as error:
        status, message = ExitStatus.USAGE, str(error)
    except OutputError as error:
        status, message = ExitStatus.OUTPUT, str(error)
    except (TargetError, OSError) as error:
        status, message = ExitStatus.TARGET, str(error)
    except MemoryError:
        status, message = ExitStatus.TARGET, "out of memory, or of what --max-memory allows"
    _say(clean(message))
    return status


def _say(message: str) -> None:
    """One line on standard error, if anybody can have it: the exit status says it, too."""
    try:
        print(f"pageaudit: {message}", file=sys.stderr, flush=True)
    except OSError:
        # The interpreter flushes once more when it ends, and has a status for that.
        silence(sys.stderr)


def _replace_closed() -> None:
    """Let no file that is opened be standard output or standard error, if these are closed."""
    file = os.open(os.devnull, os.O_RDWR)
    while file <= 2:
        file = os.dup(file)
    os.close(file)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the command and return its exit status."""
    # What drgn warns of in a dump or its debug info, the report says in its own words.
    logging.getLogger("drgn").setLevel(logging.CRITICAL)
    try:
        _replace_closed()
        return int(_run(sys.argv[1:] if argv is None else argv))
    except KeyboardInterrupt:
        _say("interrupted")
        return ExitStatus.INTERRUPTED
    except Exception:  # noqa: BLE001
        # Python's own status for it is 1: that bugs were found.
        with contextlib.suppress(OSError):
            traceback.print_exc()
        _say("this is a mistake of pageaudit's own, please report it")
        return ExitStatus.INTERNAL

# SPDX-License-Identifier: LGPL-2.1-or-later
"""The command as people run it: what it answers to wrong usage and bad files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Callable, Sequence

import pytest
from files import EM_AARCH64, EM_X86_64, ET_CORE, ET_EXEC, elf, kdump

from drgn_contrib import _pageaudit, cli
from drgn_contrib.page_argument import page_number

SHIPPED = Path(__file__).resolve().parent.parent / "vmcores" / "v7.2-soft-offline-leak.kdump"
COMMAND = Path(sys.executable).with_name("pageaudit")


def pageaudit(*arguments: "str | Path", timeout: float = 60) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(COMMAND), *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def one_sentence(done: "subprocess.CompletedProcess[str]") -> str:
    """Standard error must be one line of ours, standard output empty."""
    assert done.stdout == ""
    assert done.stderr.startswith("pageaudit: "), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


BAD_FILES: "dict[str, Callable[[Path], object]]" = {
    "empty": lambda path: path.write_bytes(b""),
    "one byte": lambda path: path.write_bytes(b"\x7f"),
    "directory": lambda path: path.mkdir(),
    "text": lambda path: path.write_text("not a vmcore\n" * 1000),
    "missing": lambda path: None,
    "device": lambda path: path.symlink_to("/dev/null"),
    "loop": lambda path: path.symlink_to(path),
    "elf header only": lambda path: path.write_bytes(elf(EM_X86_64, ET_CORE)[:64]),
    "half an elf header": lambda path: path.write_bytes(elf(EM_X86_64, ET_CORE)[:40]),
    "elf without its notes": lambda path: path.write_bytes(elf(EM_X86_64, ET_CORE)[:190]),
    "elf of arm64": lambda path: path.write_bytes(elf(EM_AARCH64, ET_CORE)),
    "elf program": lambda path: path.write_bytes(elf(EM_X86_64, ET_EXEC)),
    "elf of a process": lambda path: path.write_bytes(elf(EM_X86_64, ET_CORE, b"")),
    "elf without types": lambda path: path.write_bytes(elf(EM_X86_64, ET_CORE)),
    "kdump header only": lambda path: path.write_bytes(kdump(6)),
    "kdump of no version": lambda path: path.write_bytes(kdump(0xFFFFFFFF).ljust(65536, b"\xff")),
    "flattened header only": lambda path: path.write_bytes(b"makedumpfile".ljust(16, b"\0")),
    "zeros": lambda path: path.write_bytes(bytes(65536)),
    "noise": lambda path: path.write_bytes(os.urandom(65536)),
}


@pytest.mark.parametrize("kind", BAD_FILES)
@pytest.mark.parametrize("command", [[], ["map"], ["page"]], ids=["audit", "map", "page"])
def test_bad_file(tmp_path: Path, command: "list[str]", kind: str) -> None:
    path = tmp_path / "vmcore"
    BAD_FILES[kind](path)
    pages = ["0x1000"] if command == ["page"] else []
    done = pageaudit(*command, path, *pages)
    assert done.returncode == 2, done.stderr
    one_sentence(done)


def test_bad_symbols(tmp_path: Path) -> None:
    dump = tmp_path / "vmcore"
    dump.write_bytes(elf(EM_X86_64, ET_CORE))
    for name in ["/nonexistent/vmlinux", str(tmp_path), "/dev/null", __file__]:
        done = pageaudit(dump, "-s", name)
        assert done.returncode == 2, done.stderr
        one_sentence(done)


def test_escapes_of_a_dump_do_not_reach_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "vm\x1b[31mcore"
    assert "\x1b" not in one_sentence(pageaudit(path))


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["vmcore", "--nonsense"],
        ["vmcore", "--checks"],
        ["vmcore", "--checks", ""],
        ["vmcore", "--checks", "section-state,no-such-check"],
        ["vmcore", "-j", "many"],
        ["vmcore", "-j", "-1"],
        ["vmcore", "-j", "99999999999"],
        ["vmcore", "--max-memory", "-1"],
        ["vmcore", "--max-memory", "99999999999999"],
        ["vmcore", "--max-cpu", "-1"],
        ["vmcore", "--max-cpu", "99999999999"],
        ["--live", "--nice", "99999999999999"],
        ["vmcore", "--nice", "5"],
        ["map", "vmcore", "--max-cpu", "50"],
        ["page", "vmcore", "0x1", "--max-cpu", "50"],
        ["who", "vmcore", "0x1", "--max-cpu", "50"],
        ["vmcore", "--json", "/nonexistent/directory/file"],
        ["map"],
        ["page"],
        ["page", "vmcore"],
        ["page", "vmcore", "0x1", "no-page"],
        ["page", "vmcore", "0x10000000000000000"],
        ["checks", "no-such-check"],
        ["checks", "section-state", "page-links"],
    ],
)
def test_wrong_usage(arguments: "list[str]") -> None:
    done = pageaudit(*arguments)
    assert done.returncode == 64, done.stderr
    one_sentence(done)


def test_help_and_version() -> None:
    for arguments in (["--help"], ["map", "-h"], ["page", "--help"], ["checks", "-h"]):
        done = pageaudit(*arguments)
        assert done.returncode == 0
        assert done.stdout.startswith("usage: pageaudit")
        assert done.stderr == ""
    done = pageaudit("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("pageaudit ")


def test_checks() -> None:
    done = pageaudit("checks")
    assert (done.returncode, done.stderr) == (0, "")
    for check in _pageaudit.checks():
        assert check["id"] in done.stdout
        full = pageaudit("checks", check["id"])
        assert full.returncode == 0
        assert full.stdout.startswith(check["id"] + "\n")
        assert all(len(line) <= 78 and line.isascii() for line in full.stdout.splitlines())


def test_a_file_may_be_named_like_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("map").write_text("not a vmcore")
    assert pageaudit("map").returncode == 64
    assert "map: a text file" in one_sentence(pageaudit("./map"))
    assert "map: a text file" in one_sentence(pageaudit("--", "map"))
    assert "map: a text file" in one_sentence(pageaudit("map", "map"))


def test_reader_may_leave() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        done = subprocess.run(
            [str(COMMAND), "checks"], stdout=pipe, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (0, "")


def shell(redirection: str, *arguments: "str | Path") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {redirection}', "sh", str(COMMAND), *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("redirection", [">/dev/full", ">&-"])
def test_standard_output_that_takes_nothing(redirection: str, tmp_path: Path) -> None:
    """The other file is written all the same."""
    out = tmp_path / "map.json"
    done = shell(redirection, "map", SHIPPED, "--json", out)
    assert done.returncode == 74
    assert "standard output" in one_sentence(done)
    assert json.loads(out.read_text())["map"]
    assert shell(redirection, "checks").returncode == 74


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-"])
def test_standard_error_that_takes_nothing(redirection: str, tmp_path: Path) -> None:
    """It changes neither the answer nor the status."""
    done = shell(redirection, SHIPPED, "--summary", "--checks", "page-links")
    assert (done.returncode, done.stdout[:11]) == (0, "pageaudit: ")
    assert shell(redirection, tmp_path / "missing").returncode == 2
    assert shell(redirection, "map").returncode == 64


@pytest.mark.parametrize("form", ["--json", "--html"])
def test_file_that_there_is_no_room_for(form: str, tmp_path: Path) -> None:
    """The text is printed, and the other file written; only then is it said."""
    other = {"--json": "--html", "--html": "--json"}[form]
    out = tmp_path / "out"
    done = pageaudit(SHIPPED, "--summary", form, "/dev/full", other, out)
    assert (done.returncode, done.stdout[:11]) == (74, "pageaudit: ")
    assert done.stderr == "pageaudit: can't write /dev/full: No space left on device\n"
    assert out.stat().st_size > 1000


def test_a_pfn_beyond_memory_is_wrong_usage() -> None:
    for command in ("page", "who"):
        done = pageaudit(command, SHIPPED, str(1 << 50))
        assert done.returncode == 64
        assert "beyond physical memory" in one_sentence(done)


def test_a_mistake_of_ours_is_no_finding(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And no wrong usage."""

    def fail(*_: object) -> None:
        raise ValueError("what nobody thought of")

    monkeypatch.setattr(cli, "_open", fail)
    assert cli.main(["map", "vmcore"]) == 70
    out, err = capsys.readouterr()
    assert out == ""
    assert "what nobody thought of" in err
    assert err.endswith("pageaudit: this is a mistake of pageaudit's own, please report it\n")


@pytest.mark.parametrize(
    ("arguments", "files", "pages"),
    [
        (["a", "1"], ["a"], ["1"]),
        (["a", "b", "0x10", "phys:0x2000"], ["a", "b"], ["0x10", "phys:0x2000"]),
        (["12", "12"], ["12"], ["12"]),
    ],
)
def test_pages_are_told_from_files(
    arguments: Sequence[str], files: "list[str]", pages: "list[str]"
) -> None:
    numbers = [page_number(page) for page in pages]
    assert cli._split_pages("page", arguments) == (files, numbers)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("4096", ("pfn", 4096)),
        ("010", ("pfn", 10)),
        ("0x1F", ("pfn", 31)),
        ("phys:0x1000", ("phys", 4096)),
        ("phys:4096", ("phys", 4096)),
        ("0xffffea0000000040", ("address", 0xFFFFEA0000000040)),
    ],
)
def test_page_number(text: str, meaning: "tuple[str, int]") -> None:
    assert page_number(text) == meaning

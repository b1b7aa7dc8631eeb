# SPDX-License-Identifier: LGPL-2.1-or-later
"""What every test may use."""

from __future__ import annotations

import functools
import importlib.util
import types
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from dumps import KERNELS, Audit, Open

# At run time only by those who need the extension: the C tests do not.
if TYPE_CHECKING:
    from reports import Approve

    from drgn_contrib import report, target

ROOT = Path(__file__).resolve().parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--approve", action="store_true", help="take the texts that are made as the approved ones"
    )
    parser.addoption(
        "--live-kernel", default="v6.12", help="whose guest audits itself (default: %(default)s)"
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: "list[pytest.Item]") -> None:
    """In the order in which dumps are made, beside the tests: those that need all of them last."""

    def rank(item: pytest.Item) -> "tuple[bool, bool, int]":
        params = getattr(getattr(item, "callspec", None), "params", {})
        kernel = params.get("kernel", params.get("poisoned", [""])[0])
        return (
            "real" in item.path.parts,
            item.path.name == "test_healthy.py",
            KERNELS.index(kernel) if kernel in KERNELS else len(KERNELS),
        )

    items.sort(key=rank)


@pytest.fixture
def approve(request: pytest.FixtureRequest) -> Approve:
    """approve(name, text): the text must be as tests/golden/name has it."""

    def approve(name: str, text: str) -> None:
        path = ROOT / "tests" / "golden" / name
        if request.config.getoption("--approve"):
            path.write_text(text)
        assert text == path.read_text()

    return approve


@pytest.fixture(scope="session")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> "tuple[Path, Path]":
    """HTML and JSON of a dump that ships, made by the command."""
    from pages import SHIPPED
    from test_cli import pageaudit

    out = tmp_path_factory.mktemp("html")
    files = (out / "report.html", out / "report.json")
    done = pageaudit(SHIPPED, "--html", files[0], "--json", files[1], "--summary")
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("pageaudit: ")
    return files


@pytest.fixture(scope="session")
def build() -> types.ModuleType:
    """setup.py as a module: its Toolchain compiles C."""
    spec = importlib.util.spec_from_file_location("pageaudit_setup", ROOT / "setup.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session", params=KERNELS)
def kernel(request: pytest.FixtureRequest) -> str:
    """Each of the lab's kernels in turn."""
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def open_dump() -> Open:
    """open_dump(kernel, recipe="light", types="dwarf"): the last few are kept.

    The lab makes what its cache lacks. Each has a machine's memory mapped.
    """
    from lab import make

    from drgn_contrib import target

    @functools.lru_cache(maxsize=4)
    def open_dump(kernel: str, recipe: str = "light", types: str = "dwarf") -> target.OpenedTarget:
        dump = make.dump(kernel, recipe)
        symbols = [str(dump.vmlinux)] if types == "dwarf" else []
        return target.open_target([str(dump.vmcore)], symbols)

    return open_dump


@pytest.fixture(scope="session")
def audit_dump(open_dump: Open) -> Audit:
    """audit_dump(kernel, recipe="light", types="dwarf"): kept for the session."""
    from reports import check_report

    from drgn_contrib import run

    @functools.cache
    def audit_dump(kernel: str, recipe: str = "light", types: str = "dwarf") -> report.Report:
        report = run.run(open_dump(kernel, recipe, types))
        check_report(report)
        return report

    return audit_dump

# SPDX-License-Identifier: LGPL-2.1-or-later
"""What every test may use."""

import importlib.util
import types
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def build() -> types.ModuleType:
    """setup.py as a module: its Toolchain compiles C."""
    spec = importlib.util.spec_from_file_location("pageaudit_setup", ROOT / "setup.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

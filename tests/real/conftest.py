# SPDX-License-Identifier: LGPL-2.1-or-later
"""What tests that plant faults in real dumps use."""

from __future__ import annotations

import functools
import shutil
from typing import Iterator

import pytest
from lab import make

pytest.register_assert_rewrite("planting")

from planting import OpenSite, Site  # noqa: E402


@pytest.fixture(scope="session")
def open_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenSite]:
    """open_site(kernel, recipe="full"): kept for the session."""
    directory = tmp_path_factory.mktemp("sites")

    @functools.cache
    def open_once(kernel: str, recipe: str) -> Site:
        private = directory / f"{kernel}-{recipe}"
        private.mkdir()
        return Site(make.dump(kernel, recipe), private)

    def open_site(kernel: str, recipe: str = "full") -> Site:
        return open_once(kernel, recipe)

    yield open_site
    # Gigabytes: pytest would keep those of the last runs.
    shutil.rmtree(directory)


@pytest.fixture
def site(kernel: str, open_site: OpenSite) -> Iterator[Site]:
    """The dump with everything in it of each kernel in turn, as it came."""
    site = open_site(kernel)
    with site.planted():
        yield site

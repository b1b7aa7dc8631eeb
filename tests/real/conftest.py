# SPDX-License-Identifier: LGPL-2.1-or-later
"""What tests that plant faults in real dumps use."""

from __future__ import annotations

import shutil
from typing import Iterator

import pytest
from dumps import POISONED
from lab import make

pytest.register_assert_rewrite("planting")

from planting import OpenSite, Site  # noqa: E402


@pytest.fixture(scope="session")
def open_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenSite]:
    """open_site(kernel, recipe="full"): kept while tests are about the same kernel."""
    directory = tmp_path_factory.mktemp("sites")
    sites: dict[tuple[str, str], Site] = {}

    def close(key: tuple[str, str]) -> None:
        del sites[key]
        shutil.rmtree(directory / "-".join(key))

    def open_site(kernel: str, recipe: str = "full") -> Site:
        key = (kernel, recipe)
        # Each is a machine's memory, and its file's.
        for other in [other for other in sites if other[0] != kernel]:
            close(other)
        if key not in sites:
            private = directory / "-".join(key)
            private.mkdir()
            sites[key] = Site(make.dump(kernel, recipe), private)
        return sites[key]

    yield open_site
    # Gigabytes: pytest would keep those of the last runs.
    shutil.rmtree(directory)


@pytest.fixture(params=POISONED, ids=lambda dump: str(dump[0]))
def poisoned(request: pytest.FixtureRequest, open_site: OpenSite) -> Iterator[Site]:
    """A dump of each kernel that handles memory errors, with poison in it handled rightly."""
    site = open_site(*request.param)
    with site.planted():
        yield site


@pytest.fixture
def site(kernel: str, open_site: OpenSite) -> Iterator[Site]:
    """The dump with everything in it of each kernel in turn, as it came."""
    site = open_site(kernel)
    with site.planted():
        yield site

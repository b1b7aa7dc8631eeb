# SPDX-License-Identifier: LGPL-2.1-or-later
"""A private apt root, to get packages of any Debian suite without touching the machine's.

The archive is the one that the machine's own apt uses: its addresses are asked of
`apt-get indextargets` at run time and appear nowhere in this project.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Iterable, Iterator, Optional

from .paths import lab_dir, lock, made_dir
from .run import LabError, run, say, tool

# How old the package lists may be: sid removes packages within hours of an upload.
LISTS_SECONDS = 12 * 3600

SUITES = (
    "bullseye",
    "bullseye-security",
    "bookworm",
    "bookworm-security",
    "trixie",
    "trixie-security",
    "trixie-backports",
    "forky",
    "sid",
)

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


@dataclass(frozen=True)
class Package:
    """One version of one package that the archive's lists speak of."""

    name: str
    version: str
    depends: str
    architecture: str = "amd64"

    def file_name(self) -> str:
        """The name that `apt-get download` gives the file."""
        return f"{self.name}_{self.version.replace(':', '%3a')}_{self.architecture}.deb"


def _archives() -> dict[str, str]:
    """The machine's own archive addresses, by the label Debian and Debian-Security."""
    text = run(["apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)"])
    found: dict[str, str] = {}
    for line in text.splitlines():
        origin, label, uri = line.split("|", 2)
        if origin == "Debian":
            found.setdefault(label, uri)
    if "Debian" not in found:
        raise LabError("this machine's apt has no Debian archive: the lab needs a Debian machine")
    return found


def _suite_uri(archives: dict[str, str], suite: str) -> str:
    if not suite.endswith("-security"):
        return archives["Debian"]
    known = archives.get("Debian-Security")
    # Both archives lie side by side on every mirror that carries both.
    return known or re.sub(r"/debian/?$", "/debian-security/", archives["Debian"])


class Apt:
    """The private apt root under lab_dir()."""

    def __init__(self) -> None:
        self.root = made_dir("apt")
        self.config = self.root / "apt.conf"

    def _apt(self, argv: list[str], tries: int = 1, cwd: Optional[Path] = None) -> str:
        return run(argv, env={"APT_CONFIG": str(self.config), "LC_ALL": "C"}, tries=tries, cwd=cwd)

    def _configure(self) -> None:
        for part in ("lists/partial", "cache/archives/partial"):
            (self.root / part).mkdir(parents=True, exist_ok=True)
        archives = _archives()
        signed = f"[signed-by={KEYRING}] " if KEYRING.exists() else ""
        (self.root / "sources.list").write_text(
            "".join(f"deb {signed}{_suite_uri(archives, suite)} {suite} main\n" for suite in SUITES)
        )
        self.config.write_text(
            f'Dir::State "{self.root}/";\n'
            f'Dir::State::lists "{self.root}/lists";\n'
            'Dir::State::status "/dev/null";\n'
            f'Dir::Cache "{self.root}/cache";\n'
            f'Dir::Etc::sourcelist "{self.root}/sources.list";\n'
            'Dir::Etc::sourceparts "/dev/null";\n'
            'Dir::Etc::preferences "/dev/null";\n'
            'Dir::Etc::preferencesparts "/dev/null";\n'
            'APT::Architecture "amd64";\n'
            'APT::Architectures { "amd64"; };\n'
            'APT::Sandbox::User "root";\n'
            'Acquire::Languages "none";\n'
            'Acquire::Retries "2";\n'
        )

    def update(self, force: bool = False) -> None:
        """Fetch the package lists where they are missing or old."""
        stamp = self.root / "updated"
        with lock("apt"):
            fresh = stamp.exists() and time.time() - stamp.stat().st_mtime < LISTS_SECONDS
            if fresh and not force:
                return
            say("fetching package lists")
            self._configure()
            self._apt(["apt-get", "update", "-q"], tries=3)
            listed = self._apt(["apt-cache", "dumpavail"])
            (self.root / "available").write_text(listed)
            stamp.touch()

    def packages(self, pattern: str) -> Iterator[Package]:
        """The packages whose whole name the regular expression matches."""
        self.update()
        wanted = re.compile(pattern)
        name = version = depends = architecture = ""
        # dumpavail gives each package's candidate; kernel packages carry the version
        # in their name, so that every one of them is there.
        with open(self.root / "available", errors="replace") as file:
            for line in file:
                if line.startswith("Package: "):
                    name = line[9:].strip()
                elif line.startswith("Version: "):
                    version = line[9:].strip()
                elif line.startswith("Depends: "):
                    depends = line[9:].strip()
                elif line.startswith("Architecture: "):
                    architecture = line[14:].strip()
                elif line == "\n":
                    if name and wanted.fullmatch(name):
                        yield Package(name, version, depends, architecture)
                    name = version = depends = architecture = ""

    def download(self, packages: Iterable[Package]) -> list[Path]:
        """Download packages that are not there yet and return their files."""
        debs = made_dir("debs")
        wanted = list(packages)
        with lock("download"):
            missing = [p for p in wanted if not (debs / p.file_name()).exists()]
            if missing:
                say("downloading " + " ".join(p.name for p in missing))
                argv = ["apt-get", "download", "-q", *(f"{p.name}={p.version}" for p in missing)]
                self._apt(argv, tries=2, cwd=debs)
        return [debs / p.file_name() for p in wanted]


def version_key(text: str) -> tuple[tuple[int, str], ...]:
    """Sorts version strings by their numbers (`~` before everything)."""
    parts = re.findall(r"\d+|~|[^\d~]+", text)
    return tuple((int(p), "") if p.isdigit() else (-1, "") if p == "~" else (0, p) for p in parts)


def unpack(deb: Path, target: Path, patterns: Iterable[str] = ()) -> None:
    """Unpack the members of a package that match one of the shell patterns (or all)."""
    target.mkdir(parents=True, exist_ok=True)
    with subprocess.Popen(
        [tool("dpkg-deb", "dpkg"), "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE
    ) as source:
        wanted = ["--wildcards", *patterns] if patterns else []
        taker = subprocess.run(
            ["tar", "-C", str(target), "-x", "--no-same-owner", *wanted],
            stdin=source.stdout,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    # tar says "Not found in archive" for a pattern without a match, which is no failure:
    # the patterns cover several packages' ways of laying a kernel out.
    bad = [
        line
        for line in taker.stderr.splitlines()
        if "Not found in archive" not in line and "previous errors" not in line
    ]
    if source.returncode or bad:
        raise LabError(f"cannot unpack {deb.name}: {' / '.join(bad) or source.returncode}")


def unpack_with_libs(apt: Apt, names: Iterable[str], target: Path) -> None:
    """Unpack the newest versions of packages, to be run with their own libraries."""
    newest: dict[str, Package] = {}
    names = list(names)
    pattern = "|".join(re.escape(name) for name in names)
    for package in apt.packages(pattern):
        have = newest.get(package.name)
        if have is None or version_key(package.version) > version_key(have.version):
            newest[package.name] = package
    for name in names:
        if name not in newest:
            raise LabError(f"no Debian suite has the package {name}")
    for deb in apt.download(newest[name] for name in names):
        unpack(deb, target)


def unpacked_program(binary: str, names: Iterable[str]) -> list[str]:
    """The command line that runs a program from packages unpacked under lab_dir().

    The packages are the newest of any suite and come with the libraries they need: the
    machine's own libc may be older.
    """
    root = lab_dir() / binary
    with lock(binary):
        if not root.exists():
            new = root.with_name(f"{binary}.{os.getpid()}")
            unpack_with_libs(Apt(), names, new)
            new.rename(root)
    loader = next(root.glob("**/ld-linux-x86-64.so.2"), None)
    program = next(root.glob(f"**/bin/{binary}"), None)
    if not loader or not program:
        raise LabError(f"the {binary} package is not laid out as expected")
    libs = sorted({str(p.parent) for p in root.glob("**/*.so.*") if "gconv" not in p.parts})
    return [str(loader), "--library-path", ":".join(libs), str(program)]

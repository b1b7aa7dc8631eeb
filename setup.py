# SPDX-License-Identifier: LGPL-2.1-or-later
"""Builds the C extension; everything else is in pyproject.toml.

All of csrc/ becomes drgn_contrib._pageaudit. Each file is compiled once and
again only when it or a header that it includes has changed, several at a time.

Environment: CC, CFLAGS, LDFLAGS as usual; PAGEAUDIT_WERROR=1 makes warnings
errors; PAGEAUDIT_SANITIZE=1 builds with AddressSanitizer and UBSan.
"""

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
CSRC = ROOT / "csrc"

# pkg-config module, least version, Debian package, Fedora package.
LIBRARIES = [
    ("libkdumpfile", "0.5", "libkdumpfile-dev", "libkdumpfile-devel"),
    ("libdw", "0.180", "libdw-dev", "elfutils-devel"),
    ("libelf", "0.180", "libelf-dev", "elfutils-libelf-devel"),
]

CFLAGS = [
    "-std=gnu11",
    "-D_GNU_SOURCE",
    "-O2",
    "-g",
    "-fPIC",
    "-pthread",
    "-fvisibility=hidden",
    "-Wall",
    "-Wextra",
    "-Wno-missing-field-initializers",
]
SANITIZE = [
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
    "-fno-omit-frame-pointer",
]


def is_set(variable: str) -> bool:
    return os.environ.get(variable, "0") not in ("", "0")


class Toolchain:
    """A C compiler, the libraries, and a directory of objects."""

    def __init__(self, objects: Path, *, sanitize: bool) -> None:
        self.objects = objects
        self.cc = shlex.split(os.environ.get("CC", "cc"))
        if shutil.which(self.cc[0]) is None:
            sys.exit(
                f"pageaudit: no C compiler ({self.cc[0]}) found: install gcc "
                "(Debian: gcc libc6-dev; Fedora: gcc)"
            )
        self.cflags = [*CFLAGS, f"-I{CSRC}", *self._pkg_config("--cflags")]
        if is_set("PAGEAUDIT_WERROR"):
            self.cflags.append("-Werror")
        self.ldflags = ["-pthread", *self._pkg_config("--libs")]
        if sanitize:
            self.cflags += SANITIZE
            self.ldflags += SANITIZE
        self.cflags += shlex.split(os.environ.get("CFLAGS", ""))
        self.ldflags += shlex.split(os.environ.get("LDFLAGS", ""))

    @staticmethod
    def _pkg_config(option: str) -> "list[str]":
        command = os.environ.get("PKG_CONFIG", "pkg-config")
        if shutil.which(command) is None:
            sys.exit(
                f"pageaudit: {command} not found: install it "
                "(Debian: pkg-config; Fedora: pkgconf-pkg-config)"
            )
        for module, version, debian, fedora in LIBRARIES:
            wanted = f"{module} >= {version}"
            if subprocess.call([command, "--exists", wanted]) != 0:
                sys.exit(
                    f"pageaudit: {wanted} with its headers not found: install "
                    f"{debian} (Debian) or {fedora} (Fedora)"
                )
        modules = [module for module, *_ in LIBRARIES]
        output = subprocess.run(
            [command, option, *modules], check=True, stdout=subprocess.PIPE, text=True
        )
        return shlex.split(output.stdout)

    def compile(self, sources: "list[Path]") -> "list[Path]":
        """Bring the objects of sources up to date; exits on an error."""
        workers = max(1, len(os.sched_getaffinity(0)))
        with ThreadPoolExecutor(workers) as pool:
            try:
                return list(pool.map(self._compile_one, sources))
            except subprocess.CalledProcessError as error:
                pool.shutdown(wait=True, cancel_futures=True)
                sys.exit(f"pageaudit: compiling {error.cmd[-1]} failed")

    def _compile_one(self, source: Path) -> Path:
        obj = self.objects / source.relative_to(ROOT).with_suffix(".o")
        command = [*self.cc, *self.cflags, "-MMD", "-o", str(obj), "-c", str(source)]
        if not self._is_current(obj, command):
            obj.parent.mkdir(parents=True, exist_ok=True)
            obj.unlink(missing_ok=True)
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
            obj.with_suffix(".cmd").write_text(shlex.join(command))
        return obj

    @staticmethod
    def _is_current(obj: Path, command: "list[str]") -> bool:
        """Whether obj was made by this command from files no newer than it."""
        try:
            if obj.with_suffix(".cmd").read_text() != shlex.join(command):
                return False
            made = obj.stat().st_mtime_ns
            rule = obj.with_suffix(".d").read_text().replace("\\\n", " ")
            inputs = shlex.split(rule.partition(":")[2])
            return all(os.stat(path).st_mtime_ns < made for path in inputs)
        except OSError:
            return False

    def archive(self, archive: Path, objects: "list[Path]") -> None:
        archive.unlink(missing_ok=True)
        subprocess.run(["ar", "rcsD", str(archive), *map(str, objects)], check=True)

    def link(self, output: Path, inputs: "list[Path]", *flags: str) -> None:
        output.parent.mkdir(parents=True, exist_ok=True)
        # A new file, not new contents: a process may have the old one mapped.
        output.unlink(missing_ok=True)
        subprocess.run(
            [*self.cc, *flags, "-o", str(output), *map(str, inputs), *self.ldflags],
            check=True,
        )


def core_sources() -> "list[Path]":
    """csrc/ without the binding, in a fixed order."""
    binding = CSRC / "python"
    return sorted(p for p in CSRC.rglob("*.c") if binding not in p.parents)


def binding_sources() -> "list[Path]":
    return sorted((CSRC / "python").rglob("*.c"))


class BuildExtension(build_ext):
    def build_extension(self, ext: Extension) -> None:
        include = Path(sysconfig.get_paths()["include"])
        if not (include / "Python.h").exists():
            sys.exit(
                "pageaudit: Python.h not found: install python3-dev (Debian) or "
                "python3-devel (Fedora)"
            )
        sanitize = is_set("PAGEAUDIT_SANITIZE")
        tag = sysconfig.get_config_var("SOABI") + ("-sanitize" if sanitize else "")
        tools = Toolchain(ROOT / "build" / "obj" / tag, sanitize=sanitize)
        tools.cflags.append(f"-I{include}")
        objects = tools.compile(core_sources() + binding_sources())
        output = Path(self.get_ext_fullpath(ext.name))
        try:
            tools.link(output, objects, "-shared", "-Wl,-z,now")
        except subprocess.CalledProcessError:
            sys.exit("pageaudit: linking the extension failed")


if __name__ == "__main__":
    setup(
        ext_modules=[
            Extension(
                "drgn_contrib._pageaudit",
                sources=[
                    os.path.relpath(path, ROOT) for path in core_sources() + binding_sources()
                ],
                depends=[os.path.relpath(p, ROOT) for p in CSRC.rglob("*.[hd]*")],
            )
        ],
        cmdclass={"build_ext": BuildExtension},
    )

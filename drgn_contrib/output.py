# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where the answer goes: checked before the work, written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
import tempfile
from typing import Iterator, Optional, Sequence, TextIO

from drgn_contrib.page_argument import UsageError


class OutputError(Exception):
    """What is done can't be written: exit status 74."""


#: Instead of a file: standard output, and nothing else there.
STDOUT = "-"


class OutputFile:
    """A file that appears when all of it is written; what was there stays until then.

    What is no regular file (a pipe, /dev/null) is written as it is.

    :param others: Files that are read, and written: it may be none of them.
    :raises UsageError: It can't be written.
    """

    def __init__(self, path: str, others: Sequence[str] = ()) -> None:
        self._path = path
        # What is behind symbolic links, so that they stay.
        self._real = path if _is_special(path) else os.path.realpath(path)
        self._temporary: Optional[str] = None
        for each in others:
            if _is_same(each, self._real):
                raise UsageError(f"can't write {path}: it is the same file as {each}")
        try:
            self._try()
        except OSError as error:
            raise UsageError(self._message(error)) from None

    def _try(self) -> None:
        if os.path.isdir(self._real):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if os.path.exists(self._real) and not os.access(self._real, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        if _is_special(self._real):
            # A reader would take it for written when it is closed.
            return
        # Only to see that it works: an audit may be killed.
        self._make()
        self.discard()

    def _make(self) -> None:
        directory, name = os.path.split(self._real)
        file, self._temporary = tempfile.mkstemp(prefix=f".{name[:64]}.", dir=directory)
        os.close(file)

    def write(self, content: str) -> None:
        """Put the content in its place.

        :raises OutputError: It can't be written.
        """
        try:
            if not _is_special(self._real):
                self._make()
            with open(self._temporary or self._real, "w", encoding="utf-8") as file:
                file.write(content)
            if self._temporary:
                os.chmod(self._temporary, self._mode())
                os.replace(self._temporary, self._real)
                self._temporary = None
        except OSError as error:
            raise OutputError(self._message(error)) from None

    def _mode(self) -> int:
        """As it was, or as the umask has it."""
        with contextlib.suppress(OSError):
            return stat.S_IMODE(os.stat(self._real).st_mode)
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask

    def _message(self, error: OSError) -> str:
        return f"can't write {self._path}: {error.strerror}"

    def discard(self) -> None:
        """Leave what was there, if it is not written."""
        if self._temporary:
            with contextlib.suppress(OSError):
                os.unlink(self._temporary)
            self._temporary = None


def _is_same(a: str, b: str) -> bool:
    if _is_special(b):
        return False
    try:
        return os.path.samefile(a, b)
    except OSError:
        return os.path.realpath(a) == b


def _is_special(path: str) -> bool:
    """Whether it is no regular file; a directory is not written anyway."""
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False


@contextlib.contextmanager
def output_file(path: str, others: Sequence[str] = ()) -> Iterator[Optional[OutputFile]]:
    """The file, or None for standard output."""
    if path == STDOUT:
        yield None
        return
    file = OutputFile(path, others)
    try:
        yield file
    finally:
        file.discard()


def silence(stream: TextIO) -> None:
    """Let what it has and gets from now on go nowhere."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)


def print_text(text: str) -> None:
    """To standard output, whose reader may have gone.

    :raises OutputError: It can't be written.
    """
    if sys.stdout is None:
        raise OutputError("can't write to standard output: it is closed")
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        # The interpreter flushes once more when it ends.
        silence(sys.stdout)
        if not isinstance(error, BrokenPipeError):
            message = f"can't write to standard output: {error.strerror}"
            raise OutputError(message) from None

# SPDX-License-Identifier: LGPL-2.1-or-later
"""In the guest: runs pageaudit on the kernel that it is on, whenever the host says so.

The host's line is what to do and its arguments, as JSON; the answer an exit status, output
and messages. Each is a process of its own: what it bounds is bounded for it alone.
"""

import base64
import json
import os
import sys
import termios
import traceback
import tty
import zlib
from typing import Any, Callable, Dict, List, Mapping, Tuple

from drgn_contrib import cli, live, target
from drgn_contrib._pageaudit import Kernel

PORT = "/dev/ttyS1"
# A multiple of 8: /proc/kpageflags takes nothing else.
PIECE = 1 << 16


def _read_all(fd: int) -> bytes:
    with os.fdopen(fd, "rb") as file:
        return file.read()


def _packed(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data)).decode()


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return b"".join(iter(lambda: file.read(PIECE), b""))


def _census(opened: target.OpenedTarget) -> Dict[str, Any]:
    return Kernel(opened.source, opened.layout).census()


def truth(_argv: List[str]) -> int:
    """What we read of each page, twice, and what the kernel says of it before and after each."""
    opened = target.open_target([target.KCORE])
    zoneinfo = [_read("/proc/zoneinfo")]
    memory = Kernel(opened.source, opened.layout).memory()
    zoneinfo.append(_read("/proc/zoneinfo"))
    names = ("kpageflags", "kpagecount")
    told = [{name: _read(f"/proc/{name}") for name in names}]
    censuses = []
    for _ in range(2):
        censuses.append(_census(opened))
        pages = [
            {key: page.get(key) for key in ("pfn", "tail", "type", "flag_names", "mapcount")}
            for run in memory["map"]
            if run["state"] == "online"
            for page in map(opened.kernel.page, range(run["pfn"] + 1, run["pfn_end"], 97))
        ]
        told.append({name: _read(f"/proc/{name}") for name in names})
    answer = {
        "told": [{name: _packed(data) for name, data in each.items()} for each in told],
        "class_names": censuses[0]["class_names"],
        "classes": [
            {nr: _packed(bytes(each)) for nr, each in census["classes"].items()}
            for census in censuses
        ],
        "section_pages": memory["section_pages"],
        "zones": memory["zones"],
        "zoneinfo": [each.decode() for each in zoneinfo],
        "pages": pages,
    }
    print(json.dumps(answer))
    return 0


def pageaudit(argv: List[str]) -> int:
    """The command; the host is told of each read that another follows."""
    watch = live._watch

    def tell_and_watch(kernel: Kernel, suspects: Mapping[Any, Any], seconds: float) -> "set[Any]":
        with open(PORT, "wb", buffering=0) as port:
            port.write(b"read\n")
        return watch(kernel, suspects, seconds)

    live._watch = tell_and_watch
    return cli.main(argv)


def command(argv: List[str]) -> int:
    """Any other program."""
    return os.spawnvp(os.P_WAIT, argv[0], argv)


VERBS: Dict[str, Callable[[List[str]], int]] = {
    "pageaudit": pageaudit,
    "truth": truth,
    "command": command,
}


def run(verb: str, argv: List[str]) -> Tuple[int, str, str]:
    """Exit status, standard output and standard error."""
    err = os.memfd_create("err")
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.dup2(write, 1)
        os.dup2(err, 2)
        status = 99
        try:
            status = VERBS[verb](argv)
        except Exception:  # noqa: BLE001
            # Whatever it is, the host is to see it.
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    os.close(write)
    out = _read_all(read)
    _, status = os.waitpid(child, 0)
    os.lseek(err, 0, os.SEEK_SET)
    return os.waitstatus_to_exitcode(status), out.decode(), _read_all(err).decode()


def main() -> None:
    """Until the host says stop."""
    # To be heard in a storm, where everybody wants the processors and all memory.
    os.setpriority(os.PRIO_PROCESS, 0, -20)
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("-1000")
    fd = os.open(PORT, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(fd)
    mode = termios.tcgetattr(fd)
    mode[2] |= termios.CLOCAL
    termios.tcsetattr(fd, termios.TCSANOW, mode)
    with os.fdopen(fd, "r+b", buffering=0) as port:
        answer = ""
        while True:
            port.write(f"live {answer}\n".encode())
            line = port.readline().decode().strip()
            if line == "stop":
                return
            verb, *argv = json.loads(line)
            answer = _packed(json.dumps(run(verb, argv)).encode())


main()

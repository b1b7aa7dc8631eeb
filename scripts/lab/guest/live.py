# SPDX-License-Identifier: LGPL-2.1-or-later
"""In the guest: runs pageaudit on the kernel that it is on, whenever the host says so.

The host's line is the command's arguments as JSON, the answer its exit status, output and
messages. Each run is a process of its own: what it bounds is bounded for it alone.
"""

import base64
import json
import os
import sys
import termios
import traceback
import tty
import zlib
from typing import List, Tuple

from drgn_contrib import cli

PORT = "/dev/ttyS1"


def _read_all(fd: int) -> bytes:
    with os.fdopen(fd, "rb") as file:
        return file.read()


def run(argv: List[str]) -> Tuple[int, str, str]:
    """The command's exit status, standard output and standard error."""
    err = os.memfd_create("err")
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.dup2(write, 1)
        os.dup2(err, 2)
        status = 99
        try:
            status = cli.main(argv)
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
    # To be heard in a storm, where everybody wants the processors.
    os.setpriority(os.PRIO_PROCESS, 0, -10)
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
            data = json.dumps(run(json.loads(line))).encode()
            answer = base64.b64encode(zlib.compress(data)).decode()


main()

# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Long work says where it is: one line in a file on the host, which the action plugin ``progress`` reads meanwhile."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import IO

from . import command
from .errors import StrataError

VARIABLE = "STRATA_PROGRESS"
"""The environment variable that names the file; without it, nobody is listening."""

_LAST_LINES = 30
_LAST_WORDS = 12
_ERRORS = ("E: ", "Err:", "error:")


def say(text: str) -> None:
    """Replace the line. Nothing depends on it: a file that can't be written is not an error."""
    path = os.environ.get(VARIABLE)
    if path:
        try:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text + "\n")
        except OSError:
            pass


def failed(what: str, wrong: str, said: Sequence[str], ways_out: Iterable[tuple[str, str]]) -> StrataError:
    """Of something that takes long: why it failed, and its last words.

    Args:
        what: What was done.
        wrong: What is said of why it failed.
        said: What it said until then, line by line.
        ways_out: What helps where a part, in lower case, is in any of that.
    """
    words = "; ".join(said[-_LAST_WORDS:])
    last = f"; its last words: {words}" if words else ""
    message = f"{what} failed: {' '.join(wrong.split()).rstrip('.')}{last}"
    return StrataError(message, hint=next((way for part, way in ways_out if part in message.lower()), None))


def run(
    argv: Sequence[str],
    tell: Callable[[str], str | None],
    *,
    env: Mapping[str, str] | None = None,
    handles: Sequence[int] = (),
    stdin: IO[bytes] | None = None,
) -> None:
    """Run a program that takes long, and say where it is by what it prints.

    Args:
        argv: The program and its arguments.
        tell: Makes a line for the user from a line of the program's; None: nothing worth saying.
        env: Variables on top of the environment.
        handles: Open files that it inherits.
        stdin: A file that it reads; nothing where it isn't given.

    Raises:
        StrataError: The program failed; the message ends with its last lines.
    """
    said: list[str] = []
    # AnsibleModule.run_command returns when all is over, which is too late to tell.
    with subprocess.Popen(  # pylint: disable=ansible-bad-function
        list(argv),
        stdin=stdin or subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=command.environment(env),
        pass_fds=tuple(handles),
        text=True,
        errors="replace",
    ) as process:
        for line in process.stdout or ():
            said = [*said, line.strip()][-_LAST_LINES:]
            text = tell(line.strip())
            if text:
                say(text)
    if process.returncode != 0:
        errors = [line for line in said if line.startswith(_ERRORS)]
        words = "; ".join(errors or said)
        raise StrataError(f"{os.path.basename(argv[0])} failed with status {process.returncode}: {words}")

# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What builders of trees say when they fail, and which option it is about.

They end with a line that says that they ended; the one that says why came before it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ..core import progress
from ..core.errors import StrataError

_PREFIX = re.compile(r"(E: |W: |Error: |\S*\btar: |time=\S+ level=fatal msg=)*")


@dataclass(frozen=True)
class Complaint:
    """A known way to fail.

    Attributes:
        pattern: What is in the line that says why.
        option: The option that caused it; None: none did.
        hint: The way out.
    """

    pattern: str
    option: str | None
    hint: str


FULL = Complaint(r"[Nn]o space left|Wrote only \d+ of", None, "Make room on the file system, or name a path on another")


def explained(lines: Iterable[str], complaints: Iterable[Complaint]) -> StrataError | None:
    """The error that a user can act on; the first complaint of the table that is among the lines counts."""
    lines = list(lines)
    for complaint in (FULL, *complaints):
        for line in lines:
            if re.search(complaint.pattern, line):
                said = _PREFIX.sub("", line, count=1).strip().strip('"').rstrip(".")
                return StrataError(said, option=complaint.option, hint=complaint.hint)
    return None


def run(
    argv: Sequence[str],
    tell: Callable[[str], str | None],
    complaints: Sequence[Complaint],
    *,
    handles: Sequence[int] = (),
    env: dict[str, str] | None = None,
) -> None:
    """Run a program that takes long, and know its complaints.

    Args:
        argv: The program and its arguments.
        tell: Makes a line for the user from a line of the program's; None: nothing worth saying.
        complaints: What it may say.
        handles: Open files that it inherits.
        env: Variables on top of the environment.

    Raises:
        StrataError: It failed; with the option, where it is a known complaint.
    """
    known = re.compile("|".join(complaint.pattern for complaint in (FULL, *complaints)))
    heard: list[str] = []

    def listen(line: str) -> str | None:
        if known.search(line):
            heard.append(line)
        return tell(line)

    try:
        progress.run(argv, listen, env=env, handles=handles)
    except StrataError as error:
        raise explained(heard, complaints) or error from None

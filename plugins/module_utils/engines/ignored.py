# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which paths of a build context don't count, by the patterns of .dockerignore (docs.docker.com, "Build context")."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

_WORDS = re.compile(r"\*\*/?|\*|\?|\[\^?\]?[^]]*\]|\\.|.", re.DOTALL)


class Ignored:
    """The paths, relative to the context, that patterns leave out: the last one that fits decides.

    Args:
        patterns: The lines of the file.
        keeps: Paths that are left in whatever the patterns say.
    """

    def __init__(self, patterns: Iterable[str], keeps: Iterable[str] = ()) -> None:
        lines = (line.strip() for line in patterns if not line.startswith("#"))
        self._rules = [_rule(line) for line in lines if line.strip("!/ ")]
        self._keeps = frozenset(keeps)
        self._has_exceptions = any(kept for _pattern, kept in self._rules)

    def __contains__(self, path: str) -> bool:
        if path in self._keeps:
            return False
        parts = path.split("/")
        # What is below a path that fits, fits.
        places = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
        left_out = False
        for pattern, kept in self._rules:
            if left_out == kept and any(map(pattern.fullmatch, places)):
                left_out = not kept
        return left_out

    def enters(self, folder: str) -> bool:
        """Whether anything in a folder could be left in."""
        below = any(path.startswith(f"{folder}/") for path in self._keeps)
        return below or self._has_exceptions or folder not in self


def _rule(line: str) -> tuple[re.Pattern[str], bool]:
    """A pattern, and whether it is an exception."""
    kept = line.startswith("!")
    path = os.path.normpath(line[1:].strip() if kept else line).lstrip("/")
    return re.compile("".join(map(_expression, _WORDS.findall(path))), re.DOTALL), kept


def _expression(word: str) -> str:
    """A part of a pattern as a regular expression (moby: patternmatcher, Pattern.compile)."""
    if word in ("*", "?"):
        return "[^/]*" if word == "*" else "[^/]"
    if word.startswith("**"):
        return "(?:.*/)?" if word.endswith("/") else ".*"
    if word.startswith("[") and len(word) > 1:
        return word
    return re.escape(word[-1])

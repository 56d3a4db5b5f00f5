# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one error that reaches a user, and the one that sends a task back."""

from __future__ import annotations

from typing import Any


class StrataError(Exception):
    """Something the user can understand and act on.

    Args:
        message: What is wrong, in one sentence.
        option: The option that caused it, where one did.
        value: The value that was given.
        hint: The way out.
        entry: Which resource it is about, as ``kind/name``.
    """

    def __init__(
        self,
        message: str,
        *,
        option: str | None = None,
        value: Any = None,
        hint: str | None = None,
        entry: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.option = option
        self.value = value
        self.hint = hint
        self.entry = entry

    def at(self, entry: str) -> StrataError:
        """Name the resource, unless a deeper floor already did."""
        self.entry = self.entry or entry
        return self

    def about(self, entry: str) -> StrataError:
        """The same error of another resource."""
        return StrataError(self.message, option=self.option, value=self.value, hint=self.hint, entry=entry)

    def __str__(self) -> str:
        where = ": ".join(part for part in (self.entry, self.option) if part)
        shown = "" if self.value is None else f" (got {self.value!r})"
        text = f"{where}: {self.message}{shown}" if where else f"{self.message}{shown}"
        return f"{text}. {self.hint}" if self.hint else text


class Errors(StrataError):
    """Several independent errors, reported together."""

    def __init__(self, errors: list[StrataError]) -> None:
        super().__init__("; ".join(str(error) for error in errors))
        self.errors = errors


class Unpacked(Exception):
    """A kind that a run needs isn't in what Ansible sent for it; nothing was touched yet."""

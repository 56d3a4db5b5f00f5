# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""AppArmor: its folder of profiles, its parser, and what the kernel has loaded (securityfs)."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..core import command, files
from ..core.errors import StrataError

FOLDER = "/etc/apparmor.d"
KERNEL = "/sys/kernel/security/apparmor"
NOTES = "/var/lib/strata/apparmor"
ENABLED = "/sys/module/apparmor/parameters/enabled"

DISABLE, COMPLAIN = "disable", "force-complain"
"""Folders of links that the parser looks into by a profile's file name (apparmor_parser, test_for_dir_mode)."""

_ENTRY = re.compile(r"(.+) \((\w+)\)")
_FLAGS = re.compile(r"flags\s*=\s*\([^)]*\bcomplain\b[^)]*\)")
_ERROR = re.compile(r"AppArmor parser error,?(?: for \S+)?:?\s*")


def need() -> None:
    """Make sure that the kernel has AppArmor, and that it can be asked.

    Raises:
        StrataError: It doesn't, or can't.
    """
    if (files.read(ENABLED) or "").strip() != "Y":
        raise StrataError(
            "this kernel runs without AppArmor",
            hint="Use a kernel that has it (Debian, Ubuntu, SUSE), and take apparmor=0 from its command line",
        )
    if not os.access(f"{KERNEL}/profiles", os.R_OK):
        raise StrataError(
            f"{KERNEL}/profiles can't be read",
            hint="Be root, and mount -t securityfs securityfs /sys/kernel/security",
        )


def path(name: str) -> str:
    return f"{FOLDER}/{name}"


class Kernel:
    """What the kernel has loaded."""

    def __init__(self) -> None:
        self.modes: dict[str, str] = {}
        self._folders: dict[str, str] | None = None

    def read(self) -> Kernel:
        text = files.read(f"{KERNEL}/profiles") or ""
        found = (_ENTRY.fullmatch(line) for line in text.splitlines())
        self.modes = {entry[1]: entry[2] for entry in found if entry is not None}
        self._folders = None
        return self

    def digests(self, names: Iterable[str]) -> dict[str, str | None]:
        """The kernel's own hash of each profile as it was loaded; None where it isn't, or the kernel keeps none."""
        if self._folders is None:
            self._folders = _below(f"{KERNEL}/policy/profiles")
        return {name: _digest(name, self._folders) for name in names}


def _below(folder: str) -> dict[str, str]:
    """The folders of the profiles in one, by the last part of their name."""
    try:
        entries = os.listdir(folder)
    except OSError:
        return {}
    return {(files.read(f"{folder}/{entry}/name") or "").strip(): f"{folder}/{entry}" for entry in entries}


def _digest(name: str, folders: Mapping[str, str]) -> str | None:
    first, _slashes, rest = name.partition("//")
    folder = folders.get(first)
    if folder is None:
        return None
    if rest:
        return _digest(rest, _below(f"{folder}/profiles"))
    for algorithm in ("sha256", "sha1"):  # sha1 up to Linux 6.7 (security/apparmor/apparmorfs.c)
        found = files.read(f"{folder}/{algorithm}")
        if found:
            return f"{algorithm}:{found.strip()}"
    return None


# The parser.


def _parse(words: Iterable[str], text: str) -> str:
    program = command.need("apparmor_parser", "apparmor")
    done = command.run([program, *words], stdin=text, check=False)
    if done.returncode != 0:
        raise StrataError(f"the profile doesn't parse: {_reason(done.stderr)}")
    return done.stdout


def _reason(said: str) -> str:
    """What the parser has against a profile, without its warnings about reading standard input."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if not line.startswith(("Warning", "Cache"))]
    return "; ".join(_ERROR.sub("", line) for line in errors or lines) or "it doesn't say why"


def check(text: str) -> tuple[str, ...]:
    """Compile a profile without loading it.

    Returns:
        The names of the profiles in it, those within others as ``outer//inner``.

    Raises:
        StrataError: It doesn't parse; the message has the line.
    """
    _parse(["--skip-kernel-load", "--skip-cache", "--quiet"], text)
    return names(text)


def names(text: str) -> tuple[str, ...]:
    """The names of the profiles in a text, without compiling them."""
    told = _parse(["--names", "--quiet"], text)
    return tuple(dict.fromkeys(line.strip() for line in told.splitlines() if line.strip()))


def complains(text: str) -> bool:
    """Whether a profile says by its own flags that nothing is to be enforced."""
    return any(_FLAGS.search(line.partition("#")[0]) for line in text.splitlines())


def load(name: str) -> None:
    """Load what the file has, in place of what is loaded under the same names; processes go on under the new policy."""
    program = command.need("apparmor_parser", "apparmor")
    done = command.run([program, "--replace", "--skip-cache", "--quiet", "--", path(name)], check=False)
    if done.returncode != 0:
        raise StrataError(f"the kernel did not take the profile: {_reason(done.stderr)}")


def unload(names: Iterable[str]) -> None:
    """Take profiles out of the kernel; processes under them go on unconfined."""
    for name in sorted(names, reverse=True):  # those within others first
        try:
            with open(f"{KERNEL}/.remove", "w", encoding="utf-8") as file:
                file.write(name)
        except FileNotFoundError:
            continue  # it is gone: the kernel says so in the same words as for a file
        except OSError as error:
            raise StrataError(f"the kernel keeps the profile {name}: {error.strerror}") from None


# Links by which the parser leaves a file alone, or has it complain.


def linked(folder: str, name: str) -> bool:
    return os.path.lexists(f"{FOLDER}/{folder}/{name}")


def link(folder: str, name: str) -> None:
    os.makedirs(f"{FOLDER}/{folder}", exist_ok=True)
    if not linked(folder, name):
        os.symlink(path(name), f"{FOLDER}/{folder}/{name}")


def unlink(folder: str, name: str) -> None:
    files.remove(f"{FOLDER}/{folder}/{name}")


# What was loaded from which text: the kernel keeps the compiled policy alone.


def source(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def note(name: str) -> dict[str, Any] | None:
    """What was noted when a profile was loaded last: ``owner``, ``source``, and the kernel's hash of each profile."""
    try:
        kept = json.loads(files.read(f"{NOTES}/{name}.json") or "")
        return {"owner": kept["owner"], "source": kept["source"], "profiles": dict(kept["profiles"])}
    except (ValueError, KeyError, TypeError):
        return None


def set_note(name: str, owner: str | None, text: str | None, profiles: Mapping[str, str | None]) -> None:
    kept = {"owner": owner, "source": None if text is None else source(text), "profiles": dict(profiles)}
    files.write(f"{NOTES}/{name}.json", json.dumps(kept, sort_keys=True) + "\n", 0o600)


def forget(name: str) -> None:
    files.remove(f"{NOTES}/{name}.json")


def noted() -> list[str]:
    """The names of all that was noted."""
    try:
        return sorted(entry[: -len(".json")] for entry in os.listdir(NOTES) if entry.endswith(".json"))
    except FileNotFoundError:
        return []

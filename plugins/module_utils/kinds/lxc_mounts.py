# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of the host an lxc_container has: rows of mounts and devices, and the lines of its configuration.

What the template or an included file brought along is LXC's own, and not managed.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..core.codec import BOOL, LINE, PATH, Codec, parse_line
from ..core.errors import StrataError
from ..core.field import Field, table
from ..engines.lxc_config import Config

ENTRY = "lxc.mount.entry"
ALLOW = "lxc.cgroup2.devices.allow"
BIND = "bind"
_LXCS = ("dev", "proc", "sys")
"""What LXC mounts before it comes to the entries."""

Row = dict[str, Any]


def _parse_target(value: Any) -> str:
    """A place below the container's root."""
    text = parse_line(value).strip("/")
    parts = text.split("/")
    if not text or {"", ".", ".."} & set(parts):
        raise ValueError("must be a place below the container's root, without '.' and '..'")
    return text


def _parse_options(values: Any) -> tuple[str, ...]:
    words = sorted({str(value) for value in values})
    for word in words:
        if not re.fullmatch(r"[^\s,#]+", word):
            raise ValueError(f"{word!r} is no mount option: write one word an entry")
        if word in ("ro", "rw", "bind") or word.startswith("create="):
            raise ValueError(f"{word!r} follows from the other options")
    return tuple(words)


def _parse_rule(value: Any) -> str:
    text = " ".join(str(value).split())
    if text and not re.fullmatch(r"[abc] (\*|\d+):(\*|\d+) [rwm]{1,3}|a", text):
        raise ValueError("is no rule: write one such as c 10:229 rwm, or b *:* m")
    return text


def _parse_permissions(value: Any) -> str:
    text = "".join(letter for letter in "rwm" if letter in str(value))
    if not text or set(str(value)) - set("rwm"):
        raise ValueError("are letters out of rwm")
    return text


MOUNTS = table(
    Field("target", Codec(_parse_target), required=True),
    Field("source", LINE, default=""),
    Field("type", LINE, default=BIND, given=BIND),
    Field("read_only", BOOL, default=False, given=False),
    Field("options", Codec(_parse_options, "list", list, "str"), default=()),
    key=lambda row: str(row["target"]),
)
DEVICES = table(
    Field("path", PATH, default=""),
    Field("permissions", Codec(_parse_permissions), default="rwm"),
    Field("rule", Codec(_parse_rule), default=""),
    key=lambda row: str(row.get("path") or row.get("rule")),
)


def check(mounts: Iterable[Row], devices: Iterable[Row]) -> None:
    """Refuse what doesn't go together.

    Raises:
        StrataError: It names the option.
    """
    for row in mounts:
        option, source = f"mounts[{row['target']}]", row.get("source", "")
        if row.get("type", BIND) == BIND and not source.startswith("/"):
            raise StrataError("what is bound is an absolute path of the host", option=option, value=source)
        if _is_device(source, row["target"]):
            raise StrataError("is a device", option=option, value=source, hint="Give it in devices")
    for row in devices:
        if bool(row.get("path")) == bool(row.get("rule")):
            raise StrataError("an entry has a path or a rule", option="devices")
        if row.get("path") and not row["path"].startswith("/dev/"):
            raise StrataError("is not below /dev", option="devices", value=row["path"])


def sources(mounts: Iterable[Row]) -> Iterator[str]:
    """The paths of the host that are bound, and have to be there."""
    for row in mounts:
        if row.get("type", BIND) == BIND and "optional" not in row.get("options", ()):
            yield row["source"]


def _is_device(source: str, target: str) -> bool:
    return source.startswith("/dev/") and target == source[1:]


# Lines, as fstab(5) has them.


def _escaped(text: str) -> str:
    return re.sub(r"[\s\\]", lambda found: f"\\{ord(found[0]):03o}", text)


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def _covered(target: str, rows: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a place is in a file system that comes up empty: no guest has been there."""
    fresh = ["dev", *(row["target"] for row in rows if row.get("type") == "tmpfs")]
    return any(target.startswith(f"{one}/") for one in fresh)


def line(row: Mapping[str, Any], make: bool = False) -> str:
    """A mount as LXC reads it.

    Args:
        row: The mount.
        make: Whether LXC makes what it is mounted upon.
    """
    kind, source = row.get("type", BIND), row.get("source", "")
    words = [BIND] if kind == BIND else []
    words += ["ro"] if row.get("read_only") else []
    words += row.get("options", ())
    if make:
        words.append("create=file" if is_file(row) else "create=dir")
    kernel = "none" if kind == BIND else kind
    return f"{_escaped(source or kind)} {_escaped(row['target'])} {kernel} {','.join(words) or 'defaults'} 0 0"


def is_file(row: Mapping[str, Any]) -> bool:
    """Whether it is mounted upon a file, not a directory."""
    source = row.get("source", "")
    return row.get("type", BIND) == BIND and os.path.exists(source) and not os.path.isdir(source)


def parse(text: str) -> Row | None:
    """A line as a row; None where it is none that the options could say."""
    words = text.split()
    if len(words) < 4:
        return None
    source, target, kind = _unescaped(words[0]), _unescaped(words[1]), words[2]
    options = [word for word in words[3].split(",") if not word.startswith("create=")]
    bound = BIND in options or "rbind" in options
    kind = BIND if BIND in options else kind
    rest = tuple(sorted(word for word in options if word not in ("ro", "rw", BIND, "defaults")))
    try:
        target = _parse_target(target)
    except ValueError:
        return None
    shown = "" if not bound and source in (kind, "none") else source
    return {"target": target, "source": shown, "type": kind, "read_only": "ro" in options, "options": rest}


def _own(config: Config, key: str, made: Config) -> list[str]:
    """The lines of the file itself that didn't come with the container."""
    lines = config.own().get(key)
    if not lines:
        return []
    theirs = {" ".join(text.split()) for text in made.values().get(key, ())}
    return [text for text in lines if " ".join(text.split()) not in theirs]


def read_mounts(config: Config, made: Config) -> tuple[Row, ...]:
    rows = [parse(text) for text in _own(config, ENTRY, made)]
    found = {row["target"]: row for row in rows if row is not None and not _is_device(row["source"], row["target"])}
    return tuple(found[target] for target in sorted(found))


def places(config: Config, made: Config) -> Iterator[tuple[str, bool]]:
    """What our mounts are mounted upon, each with whether it is a file."""
    rows = read_mounts(config, made)
    for row in rows:
        theirs = row["target"].partition("/")[0] in _LXCS or _covered(row["target"], rows)
        if not theirs and "optional" not in row["options"]:
            yield row["target"], is_file(row)


def read_devices(config: Config, made: Config) -> tuple[Row, ...]:
    rules = [" ".join(text.split()) for text in _own(config, ALLOW, made)]
    rows: list[Row] = []
    for mount in map(parse, _own(config, ENTRY, made)):
        if mount is not None and _is_device(mount["source"], mount["target"]):
            number = numbers(mount["source"])
            allowed = next((rule for rule in rules if number and rule.startswith(f"{number} ")), None)
            if allowed is not None:
                rules.remove(allowed)
            rows.append({"path": mount["source"], "permissions": allowed.split()[-1] if allowed else ""})
    rows += [{"rule": rule} for rule in dict.fromkeys(rules)]
    return tuple(sorted(rows, key=lambda row: str(row.get("path") or row.get("rule"))))


def numbers(path: str) -> str | None:
    """The type and the numbers of a device, ``c 10:229``; None where there is none."""
    try:
        info = os.stat(path)
    except OSError:
        return None
    kind = "c" if stat.S_ISCHR(info.st_mode) else "b" if stat.S_ISBLK(info.st_mode) else None
    return kind and f"{kind} {os.major(info.st_rdev)}:{os.minor(info.st_rdev)}"


def put_mounts(config: Config, rows: Sequence[Row], made: Config, rootless: bool) -> None:
    def ours(text: str) -> bool:
        row = parse(text)
        return row is not None and not _is_device(row["source"], row["target"])

    # LXC makes a place by its path, through whatever links the guest has put there, before it refuses to mount upon it
    # (src/lxc/conf.c: mount_entry_create_dir_file). So it does only where no guest has been.
    lines = [line(row, rootless or _covered(row["target"], rows)) for row in rows]
    _put(config, ENTRY, ours, lines, made)


def put_devices(config: Config, rows: Iterable[Row], made: Config) -> None:
    def ours(text: str) -> bool:
        row = parse(text)
        return row is not None and _is_device(row["source"], row["target"])

    nodes = [row for row in rows if row.get("path")]
    bound = [line({"source": row["path"], "target": row["path"][1:]}, make=True) for row in nodes]
    _put(config, ENTRY, ours, bound, made)
    allowed = [f"{numbers(row['path'])} {row.get('permissions', 'rwm')}" for row in nodes]
    allowed += [row["rule"] for row in rows if row.get("rule")]
    _put(config, ALLOW, lambda text: True, allowed, made)


def _put(config: Config, key: str, ours: Any, lines: list[str], made: Config) -> None:
    """Have these lines and no others of ours, behind those that stay."""
    gone = {text for text in _own(config, key, made) if ours(text)}
    kept = [text for text in config.own().get(key, ()) if text not in gone]
    config.put(key, "\n".join([*kept, *lines]) or None)

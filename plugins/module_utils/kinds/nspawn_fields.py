# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of nspawn_container that live in a .nspawn file (systemd.nspawn(5)): one line an option."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.codec import BOOL, LINE, PATH, WORDS, Codec, parse_line, parse_path
from ..core.field import Field, table
from ..core.plan import Effect
from . import nspawn_netns

Said = Sequence[Sequence[str]]
"""For each key of an option, everything that is assigned to it."""


@dataclass(frozen=True)
class Key:
    """Where an option lives in the file.

    Attributes:
        section: The section.
        keys: Its keys in there.
        read: From what is assigned to them to something that the option's codec reads; None: nothing is.
        write: From a canonical value to what to assign to each of them.
    """

    section: str
    keys: tuple[str, ...]
    read: Callable[[Said], Any]
    write: Callable[[Any], Said]


def _counting(said: Sequence[str]) -> list[str]:
    """What counts of a key that gathers: everything after the last empty assignment."""
    values = list(said)
    while "" in values:
        del values[: values.index("") + 1]
    return values


def _one(section: str, key: str) -> Key:
    def write(value: Any) -> Said:
        if isinstance(value, bool):
            return [["yes" if value else "no"]]
        return [[str(value)] if value not in (None, "") else []]

    return Key(section, (key,), lambda said: (said[0][-1] or None) if said[0] else None, write)


def _words(section: str, key: str) -> Key:
    """A list in one line."""
    return Key(
        section,
        (key,),
        lambda said: " ".join(_counting(said[0])).split() or None,
        lambda value: [[" ".join(value)] if value else []],
    )


def _lines(section: str, key: str) -> Key:
    """A line an entry."""
    return Key(section, (key,), lambda said: _counting(said[0]) or None, lambda value: [list(value or ())])


def _quoted(section: str, key: str) -> Key:
    """A line an entry, as a shell quotes: the files have no escapes in quotes (systemd: config_parse_strv())."""
    return Key(
        section,
        (key,),
        lambda said: [word for line in _counting(said[0]) for word in _unquoted(line)] or None,
        lambda value: [[shlex.quote(word) for word in value or ()]],
    )


def _unquoted(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:  # somebody's quote that never ends
        return [line]


# Values.


def _parse_interface(value: Any) -> str:
    text = str(value)
    if text and (not re.fullmatch(r"[^\s/:]{1,15}", text) or text in (".", "..")):  # linux: dev_valid_name
        raise ValueError("is no name of a network interface")
    return text


def _parse_zone(value: Any) -> str:
    text = str(value)
    if text and not re.fullmatch(r"[A-Za-z0-9._-]{1,12}", text):  # its bridge is called vz-ZONE (systemd-nspawn(1))
        raise ValueError("is no name of a zone: use at most 12 letters, digits, '.', '_' and '-'")
    return text


def _parse_pair(value: Any) -> str:
    """``HOST[:CONTAINER]``, as systemd spells an interface that is called otherwise inside."""
    names = str(value).split(":")
    if len(names) > 2 or not all(names):
        raise ValueError("is no interface: write its name, or HOST:CONTAINER where it is called otherwise inside")
    return ":".join(_parse_interface(name) for name in names)


def _set_of(parse: Callable[[Any], str]) -> Codec:
    def all_of(values: Any) -> tuple[str, ...]:
        given = values if isinstance(values, (list, tuple)) else [values]
        return tuple(sorted({parse(parse_line(value)) for value in given}))

    return Codec(all_of, "list", list, "str")


def _parse_users(value: Any) -> str:
    text = {"true": "yes", "on": "yes", "1": "yes", "false": "no", "off": "no", "0": "no"}.get(
        str(value).lower(), str(value).lower()
    )
    if not re.fullmatch(r"yes|no|pick|identity|managed|\d+(:\d+)?", text):
        raise ValueError("must be pick, no, yes, identity, managed, or a first user ID such as 524288 or 524288:65536")
    return text


def _parse_capability(text: str) -> str:
    name = text.strip().upper()
    name = name[len("CAP_") :] if name.startswith("CAP_") else name
    if not re.fullmatch(r"[A-Z0-9_]+", name):
        raise ValueError("is no capability: write one such as NET_ADMIN, or ALL")
    return name


def _capabilities(key: str) -> Key:
    return Key(
        "Exec",
        (key,),
        lambda said: " ".join(_counting(said[0])).split() or None,
        lambda value: [[" ".join("all" if one == "ALL" else f"CAP_{one}" for one in value)] if value else []],
    )


def _read_filter(said: Said) -> list[str] | None:
    """A line that begins with ``~`` takes all of its calls away."""
    found = []
    for line in _counting(said[0]):
        mark = "~" if line.startswith("~") else ""
        found += [f"{mark}{word}" for word in line[len(mark) :].split()]
    return found or None


def _write_filter(value: Any) -> Said:
    allowed = [word for word in value or () if not word.startswith("~")]
    denied = [word[1:] for word in value or () if word.startswith("~")]
    lines = [" ".join(allowed)] if allowed else []
    return [[*lines, f"~{' '.join(denied)}"] if denied else lines]


def _parse_call(text: str) -> str:
    if not re.fullmatch(r"~?@?[a-z0-9_-]+", text):
        raise ValueError("is no system call: write one such as keyctl or @keyring, with ~ before it to refuse it")
    return text


def _parse_port(text: str) -> str:
    """``[PROTOCOL:]HOST[:CONTAINER]``, in full."""
    found = re.fullmatch(r"(?:(tcp|udp):)?(\d{1,5})(?::(\d{1,5}))?", text.strip().lower())
    if found is None or not all(1 <= int(port) <= 65535 for port in found.groups()[1:] if port):
        raise ValueError("is no port: write one such as tcp:8080:80, the host's first")
    protocol, host, inner = found.groups()
    return f"{protocol or 'tcp'}:{int(host)}:{int(inner or host)}"


def _parse_tmpfs(text: str) -> str:
    path, colon, options = text.partition(":")
    return parse_path(path) + (f":{options}" if colon and options else "")


def _parse_source(value: Any) -> str:
    """A path of the host; ``+`` before it makes it one of the machine's, nothing is a temporary directory."""
    text = str(value)
    if text in ("", "+"):
        return text
    return f"+{parse_path(text[1:])}" if text.startswith("+") else parse_path(text)


SOURCE = Codec(_parse_source)


def _split(line: str) -> list[str]:
    """The parts between colons; a backslash takes a colon its meaning."""
    return [re.sub(r"\\(.)", r"\1", part) for part in re.findall(r"(?:^|:)((?:\\.|[^:\\])*)", line)]


def _join(parts: Sequence[str]) -> str:
    return ":".join(re.sub(r"([\\:])", r"\\\1", part) for part in parts)


def _read_binds(said: Said) -> list[dict[str, Any]] | None:
    rows = []
    for read_only, lines in zip((False, True), said):
        for line in _counting(lines):
            source, *more = _split(line)
            path, *options = more or [""]
            row: dict[str, Any] = {"source": source, "path": path or source.lstrip("+")}
            row.update({"read_only": True} if read_only else {})
            rows.append({**row, **({"options": ":".join(options)} if any(options) else {})})
    return rows or None


def _write_binds(value: Any) -> Said:
    lines: tuple[list[str], list[str]] = ([], [])
    for row in value or ():
        parts = [row["source"], bind_path(row)]
        options = f":{row['options']}" if row.get("options") else ""
        short = parts[0] == parts[1] and not options
        lines[bool(row.get("read_only"))].append(_join(parts[:1] if short else parts) + options)
    return lines


def bind_path(row: Mapping[str, Any]) -> str:
    """Where a bind mount is seen inside."""
    return str(row.get("path") or row["source"].lstrip("+"))


def _read_overlays(said: Said) -> list[dict[str, Any]] | None:
    """The file names layers from the lowermost up, and what is written to last."""
    rows = []
    for lines, writable in zip(said, (True, False)):
        for line in _counting(lines):
            *layers, path = _split(line)
            row: dict[str, Any] = {"path": path}
            if writable:
                row["upper"] = layers.pop() if layers else ""
            rows.append({**row, "lower": layers[::-1]})
    return rows or None


def _write_overlays(value: Any) -> Said:
    lines: tuple[list[str], list[str]] = ([], [])
    for row in value or ():
        upper = [row["upper"]] if "upper" in row else []
        lines[not upper].append(_join([*row["lower"][::-1], *upper, row["path"]]))
    return lines


def _parse_command(value: Any) -> tuple[str, ...]:
    words = shlex.split(value) if isinstance(value, str) else [str(word) for word in value]
    return tuple(parse_line(word) for word in words)


def _write_command(value: Any) -> Said:
    return [[shlex.join(value)] if value else []]


def _choice(*words: str) -> Codec:
    def parse(value: Any) -> str:
        text = {"false": "off" if "off" in words else "no"}.get(str(value).lower(), str(value).lower())
        if text not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return text

    return Codec(parse)


def _at_boot(name: str, codec: Codec, at: Key, default: Any) -> Field:
    """All of them are read when the machine starts."""
    return Field(name, codec, at, Effect.RESTART, default=default, check=_check_ends)


def _check_ends(value: Any) -> None:
    """A backslash at a line's end would swallow the next line (systemd.syntax(7))."""
    if isinstance(value, str) and value.endswith("\\"):
        raise ValueError("must not end with a backslash")
    for item in value.values() if isinstance(value, Mapping) else value if isinstance(value, tuple) else ():
        _check_ends(item)


_SOURCES = ("host", "static", "uplink", "stub")
_RESOLV = ("off", *(f"{way}-{one}" for way in ("copy", "replace", "bind") for one in _SOURCES), "delete", "auto")
_JOURNAL = ("no", "host", "try-host", "guest", "try-guest", "auto")

# The defaults are those of the template unit's switches, where it has some.
KEYS = (
    _at_boot("boot", BOOL, _one("Exec", "Boot"), True),
    _at_boot(
        "command",
        Codec(_parse_command, "list", list, "str"),
        Key("Exec", ("Parameters",), lambda said: (said[0][-1] or None) if said[0] else None, _write_command),
        (),
    ),
    _at_boot("env", WORDS, _quoted("Exec", "Environment"), ()),
    _at_boot("user", LINE, _one("Exec", "User"), ""),
    _at_boot("working_directory", LINE, _one("Exec", "WorkingDirectory"), ""),
    _at_boot("hostname", LINE, _one("Exec", "Hostname"), ""),
    _at_boot("ephemeral", BOOL, _one("Exec", "Ephemeral"), False),
    _at_boot("private_users", Codec(_parse_users), _one("Exec", "PrivateUsers"), "pick"),
    _at_boot("capabilities", _set_of(_parse_capability), _capabilities("Capability"), ()),
    _at_boot("cap_drop", _set_of(_parse_capability), _capabilities("DropCapability"), ()),
    _at_boot("ambient_capabilities", _set_of(_parse_capability), _capabilities("AmbientCapability"), ()),
    _at_boot("no_new_privileges", BOOL, _one("Exec", "NoNewPrivileges"), False),
    _at_boot(
        "system_call_filter", _set_of(_parse_call), Key("Exec", ("SystemCallFilter",), _read_filter, _write_filter), ()
    ),
    _at_boot("resolv_conf", _choice(*_RESOLV), _one("Exec", "ResolvConf"), "auto"),
    _at_boot("timezone", _choice("off", "copy", "bind", "symlink", "delete", "auto"), _one("Exec", "Timezone"), "auto"),
    _at_boot("link_journal", _choice(*_JOURNAL), _one("Exec", "LinkJournal"), "try-guest"),
    _at_boot("read_only", BOOL, _one("Files", "ReadOnly"), False),
    _at_boot(
        "binds",
        table(
            Field("source", SOURCE, required=True),
            Field("path", PATH),
            Field("read_only", BOOL, default=False),
            Field("options", LINE, default=""),
            key=bind_path,
        ),
        Key("Files", ("Bind", "BindReadOnly"), _read_binds, _write_binds),
        (),
    ),
    _at_boot(
        "overlays",
        table(
            Field("path", PATH, required=True),
            Field("lower", Codec(lambda value: tuple(map(_parse_source, value)), "list", list, "str"), required=True),
            Field("upper", SOURCE),
            key=lambda row: str(row["path"]),
        ),
        Key("Files", ("Overlay", "OverlayReadOnly"), _read_overlays, _write_overlays),
        (),
    ),
    _at_boot("tmpfs", _set_of(_parse_tmpfs), _lines("Files", "TemporaryFileSystem"), ()),
    _at_boot("inaccessible", _set_of(parse_path), _lines("Files", "Inaccessible"), ()),
    _at_boot("network_bridge", Codec(_parse_interface), _one("Network", "Bridge"), ""),
    _at_boot("network_zone", Codec(_parse_zone), _one("Network", "Zone"), ""),
    _at_boot("network_veth", BOOL, _one("Network", "VirtualEthernet"), True),
    _at_boot("network_veth_extra", _set_of(_parse_pair), _lines("Network", "VirtualEthernetExtra"), ()),
    _at_boot("network_interfaces", _set_of(_parse_pair), _words("Network", "Interface"), ()),
    _at_boot("network_macvlan", _set_of(_parse_pair), _words("Network", "MACVLAN"), ()),
    _at_boot("network_ipvlan", _set_of(_parse_pair), _words("Network", "IPVLAN"), ()),
    # systemd leaves sections whose names begin with X- alone (systemd.unit(5)): the unit's drop-in follows from it.
    _at_boot(nspawn_netns.OPTION, nspawn_netns.PLACE, _one("X-Strata", "NetworkNamespace"), ""),
    _at_boot("ports", _set_of(_parse_port), _lines("Network", "Port"), ()),
)
TYPED = {f"{field.at.section}.{key}": field for field in KEYS for key in field.at.keys}

# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Canonical values of a container's options, from what users write and what Docker says."""

from __future__ import annotations

import os
import posixpath
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..core.codec import Codec


def _lines(values: Any) -> list[str]:
    return [str(value).strip() for value in (values or ())]


def set_of(parse: Callable[[str], Iterable[str]]) -> Codec:
    """A codec for a set of words, each of which may stand for several canonical ones."""
    return Codec(
        lambda values: tuple(sorted({word for text in _lines(values) for word in parse(text)})), "list", list, "str"
    )


_PORT = re.compile(
    r"(?:(?P<ip>\[[0-9a-fA-F:]+\]|\d+(?:\.\d+){3}):)?(?:(?P<host>\d+(?:-\d+)?)?:)?(?P<inner>\d+(?:-\d+)?)(?:/(?P<proto>tcp|udp|sctp))?"
)


def _range(text: str | None) -> list[int]:
    first, _dash, last = (text or "").partition("-")
    return list(range(int(first), int(last or first) + 1)) if first else []


def parse_port(text: str) -> list[str]:
    """``[ip:][host:]container[/protocol]``, ports or ranges of them, as ``ip:host:container/protocol``, one a port."""
    found = _PORT.fullmatch(text)
    if found is None:
        raise ValueError(f"has {text!r}, which is no port: write 8080:80, 127.0.0.1:8080:80/tcp or 80")
    inner, outer = _range(found["inner"]), _range(found["host"])
    if not all(0 < port < 65536 for port in inner + outer) or not inner or (found["host"] and not outer):
        raise ValueError(f"has {text!r}: ports go from 1 to 65535, ranges from the lower to the higher one")
    if len(inner) == 1 and len(outer) > 1:
        hosts = [found["host"]]  # a free one of them, which the daemon chooses
    elif outer and len(outer) != len(inner):
        raise ValueError(f"has {text!r}, whose two ranges differ in length")
    else:
        hosts = [str(port) for port in outer] or [""] * len(inner)
    return [f"{found['ip'] or ''}:{host}:{port}/{found['proto'] or 'tcp'}" for host, port in zip(hosts, inner)]


def show_port(port: str) -> str:
    """The shortest form that is read as the same port."""
    ip, host, inner = split_port(port)
    shown = f"{host}:{inner}" if host or ip else inner
    shown = shown[: -len("/tcp")] if shown.endswith("/tcp") else shown
    return f"{bracketed(ip)}:{shown}" if ip else shown


def split_port(port: str) -> tuple[str, str, str]:
    ip, host, inner = port.rsplit(":", 2)
    return ip.strip("[]"), host, inner


def bracketed(ip: str) -> str:
    return f"[{ip}]" if ":" in ip else ip


def parse_exposed(text: str) -> list[str]:
    """``80``, ``53/udp`` or ``8000-8010``, as ``80/tcp``, one a port."""
    if ":" in text:
        raise ValueError(f"has {text!r}, which is published: name it in published_ports")
    return [split_port(port)[2] for port in parse_port(text)]


def parse_bind(text: str) -> list[str]:
    """``source:target[:options]``, or a target alone for a volume without a name.

    A source that begins with a dot or a tilde is a path of the host, as for the command line of Docker.
    """
    source, *rest = text.split(":")
    if source[:1] in (".", "~"):
        source = os.path.abspath(os.path.expanduser(source))
    if not source or len(rest) > 2 or (rest and not rest[0].startswith("/")) or (not rest and text[:1] != "/"):
        raise ValueError(f"has {text!r}, which is no volume: write /host/path:/path[:ro], name:/path or /path")
    if not rest:
        return [clean_path(source)]
    options = ",".join(sorted({word for part in rest[1:] for word in part.split(",")} - {"rw", ""}))
    return [":".join(filter(None, (clean_path(source), clean_path(rest[0]), options)))]


def clean_path(path: str) -> str:
    """A path of the host as the daemon writes it; another word, such as the name of a volume, as it is."""
    return (re.sub(r"/+", "/", path).rstrip("/") or "/") if path.startswith("/") else path


def bind_target(bind: str) -> str:
    return bind.split(":")[1] if ":" in bind else bind


def bind_options(bind: str) -> list[str]:
    return bind.split(":")[2].split(",") if bind.count(":") == 2 else []


def parse_tmpfs(text: str) -> list[str]:
    path, _colon, options = text.partition(":")
    if not path.startswith("/"):
        raise ValueError(f"has {text!r}, which is no tmpfs: write /path or /path:size=64m,mode=1777")
    words = ",".join(sorted(filter(None, options.split(","))))
    return [f"{clean_path(path)}:{words}" if words else clean_path(path)]


def parse_capability(text: str) -> list[str]:
    name = text.upper()
    name = name[len("CAP_") :] if name.startswith("CAP_") else name
    if not re.fullmatch(r"[A-Z_]+", name):
        raise ValueError(f"has {text!r}, which is no capability: write NET_BIND_SERVICE or ALL")
    return [name]


NO_NEW_PRIVILEGES = "no-new-privileges"
BARE_PATHS = "systempaths=unconfined"  # the command line's word for no masked and no read-only paths
_UNCONFINED = ("seccomp=unconfined", "apparmor=unconfined", "label=disable", BARE_PATHS)


def parse_security(text: str) -> list[str]:
    """``key=value``; Docker takes a colon for the first ``=``, too."""
    key, separator, value = re.match(r"([^=:]*)([=:]?)(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]
    if key == NO_NEW_PRIVILEGES:
        return [NO_NEW_PRIVILEGES if value != "false" else f"{NO_NEW_PRIVILEGES}=false"]
    if key == "seccomp" and value.startswith("/"):
        raise ValueError(f"has {text!r}: Docker wants the profile itself: seccomp={{{{ lookup('file', ...) }}}}")
    return [f"{key}={value}" if separator else key]


def unconfined(options: Iterable[str]) -> list[str]:
    """Those of the security options that lift a default confinement."""
    return [option for option in options if option in _UNCONFINED]


def parse_command(value: Any) -> tuple[str, ...]:
    """The words of a command line; a string is split as a shell would."""
    return tuple(shlex.split(value) if isinstance(value, str) else (str(word) for word in value))


def env_file(text: str) -> dict[str, str]:
    """The variables in a file of ``NAME=value`` lines; empty lines and those that begin with # say nothing."""
    found = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals or not name.strip():
            raise ValueError(f"line {number} is no NAME=value")
        found[name.strip()] = value
    return found


def joined(value: Any) -> tuple[str, ...]:
    """The words of a command line whose parts are put together first, and split again as a shell would."""
    return parse_command(value if isinstance(value, str) else " ".join(str(word) for word in value))


def parse_link(text: str) -> list[str]:
    """``container[:alias]``, or ``/container:/this/alias`` as the daemon has it, as ``container:alias``."""
    name, _colon, alias = text.partition(":")
    name, alias = name.lstrip("/"), alias.rpartition("/")[2]
    if not name:
        raise ValueError(f"has {text!r}, which is no link: write container or container:alias")
    return [f"{name}:{alias or name}"]


def parse_folder(value: Any) -> str:
    """A path within a container, as the daemon cleans it; empty for that of the image."""
    text = str(value)
    return posixpath.normpath(text) if text else ""


def parse_env(value: Mapping[Any, Any]) -> dict[str, str]:
    for key, item in value.items():
        if not str(key) or "=" in str(key):
            raise ValueError(f"has {key!r}, which is no name of a variable")
        if item is None or isinstance(item, bool):
            given = "no value" if item is None else item
            raise ValueError(f"gives {key} {given}: quote it, or write '' for an empty one")
    return {str(key): str(item) for key, item in value.items()}


PORTS = Codec(set_of(parse_port).parse, "list", lambda ports: [show_port(port) for port in ports], "str")
BINDS = set_of(parse_bind)
TMPFS = set_of(parse_tmpfs)
CAPABILITIES = set_of(parse_capability)
SECURITY = set_of(parse_security)
COMMAND = Codec(parse_command, "raw", list)
ENV = Codec(parse_env, "dict", dict)
LINKS = set_of(parse_link)
EXPOSED = set_of(parse_exposed)
FOLDER = Codec(parse_folder)

# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that are run once, in a container that runs."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from ..core.codec import BOOL, LINE, PATH, Codec, parse_map
from ..core.errors import StrataError
from ..core.field import Field

_WORDS = Codec(lambda values: tuple(map(str, values)), "list", list, "str")

FIELDS = (
    Field("container", LINE, required=True),
    Field("argv", _WORDS),
    Field("command", Codec(str)),
    Field("chdir", LINE),
    Field("user", LINE),
    Field("env", Codec(parse_map, "dict", dict)),
    Field("stdin", Codec(str)),
    Field("stdin_add_newline", BOOL, given=True),
    Field("strip_empty_ends", BOOL, given=True),
    Field("tty", BOOL, given=False),
    Field("detach", BOOL, given=False),
    Field("creates", PATH),
    Field("removes", PATH),
)


def run(engine: Any, spec: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """Run a program, unless what it makes is there or what it takes away isn't.

    Raises:
        StrataError: The options don't go together, or the container doesn't run.
    """
    argv = argv_of(spec)
    container = spec["container"]
    document = engine.inspect(container)
    if document is None:
        raise StrataError("there is no such container", option="container", value=container)
    for option, is_there in (("creates", True), ("removes", False)):
        if option in spec and (engine.look(container, spec[option]) is not None) is is_there:
            said = f"skipped, since {spec[option]} {'exists' if is_there else 'does not exist'}"
            return {"changed": False, "rc": 0, "stdout": "", "stderr": "", "msg": said}
    if not document["State"]["Running"] or document["State"].get("Paused"):
        raise StrataError("does not run", option="container", value=container, hint="Start it first")
    if check_mode:
        return {"changed": True, "rc": None, "stdout": "", "stderr": "", "msg": "not run in check mode"}
    ran = engine.execute(container, _body(spec, argv), _stdin(spec))
    told: dict[str, Any] = {"changed": True, "exec_id": ran.id}
    if spec["detach"]:
        return told
    return {**told, "rc": ran.status, "stdout": _said(spec, ran.out), "stderr": _said(spec, ran.err)}


def argv_of(spec: Mapping[str, Any]) -> list[str]:
    if ("argv" in spec) == ("command" in spec):
        raise StrataError("is needed, or command, and not both", option="argv")
    if spec["detach"] and "stdin" in spec:
        raise StrataError("can't go with detach", option="stdin")
    try:
        argv = list(spec["argv"]) if "argv" in spec else shlex.split(spec["command"])
    except ValueError as error:
        raise StrataError(f"can't be split into words: {error}", option="command", value=spec["command"]) from None
    if not argv:
        raise StrataError("names no program", option="argv" if "argv" in spec else "command")
    return argv


def _body(spec: Mapping[str, Any], argv: list[str]) -> dict[str, Any]:
    return {
        "Cmd": argv,
        "AttachStdin": "stdin" in spec,
        "AttachStdout": not spec["detach"],
        "AttachStderr": not spec["detach"],
        "Tty": spec["tty"],
        "Detach": spec["detach"],
        "Env": [f"{key}={value}" for key, value in spec.get("env", {}).items()],
        **({"User": spec["user"]} if "user" in spec else {}),
        **({"WorkingDir": spec["chdir"]} if "chdir" in spec else {}),
    }


def _stdin(spec: Mapping[str, Any]) -> bytes | None:
    if "stdin" not in spec:
        return None
    end = "\n" if spec["stdin_add_newline"] else ""
    return f"{spec['stdin']}{end}".encode()


def _said(spec: Mapping[str, Any], said: bytes) -> str:
    text = said.decode(errors="replace")
    return text.rstrip("\r\n") if spec["strip_empty_ends"] else text

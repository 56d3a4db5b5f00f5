# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files in containers. No stack has them: they go with a container that is made anew."""

from __future__ import annotations

import base64
import binascii
import io
import posixpath
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from typing import IO, Any

from ..core.codec import BOOL, INT, PATH, TEXT, Codec
from ..core.errors import StrataError
from ..core.field import Field, Role
from ..core.plan import Change, Effect, Plan, State
from ..core.resource import Resource
from ..engines import container_files as words
from ..engines.container_files import File, Inside


def _parse_mode(value: Any) -> int:
    text = str(value)
    try:
        mode = value if isinstance(value, int) else int(text, 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o7777:
        raise ValueError("is no mode: write it in quotes, in octal digits, such as '0644'")
    return mode


def _parse_container(value: Any) -> str:
    text = str(value)
    if not text or "/" in text or "\0" in text:
        raise ValueError("is no name or ID of a container")
    return text


MODE = Codec(_parse_mode, "raw", lambda mode: f"{mode:04o}")
CONTENT = Codec(lambda value: value, "str", str)


def _policy(name: str, codec: Codec = TEXT, **more: Any) -> Field:
    return Field(name, codec, role=Role.POLICY, **more)


def copy_fields(*connect: Field) -> tuple[Field, ...]:
    """The options, with those that reach the engine."""
    return (
        Field("container_path", PATH, role=Role.NAME, required=True),
        _policy("container", Codec(_parse_container), required=True),
        *connect,
        _policy("path", PATH),
        _policy("content", Codec(str)),
        _policy("content_is_b64", BOOL, given=False),
        _policy("follow", BOOL, given=False),
        _policy("local_follow", BOOL, given=True),
        _policy("force", BOOL),
        Field("sort", TEXT, effect=Effect.LIVE, role=Role.DERIVED),
        Field("bytes", CONTENT, effect=Effect.LIVE, role=Role.DERIVED),
        Field("mode", MODE, effect=Effect.LIVE),
        Field("owner_id", INT, effect=Effect.LIVE),
        Field("group_id", INT, effect=Effect.LIVE),
    )


class ContainerCopy(Resource):
    """A file in a container."""

    identity = "container_path"
    listed = False
    states = {"present": "present"}

    # What was declared.

    def check(self) -> None:
        if ("path" in self.spec) == ("content" in self.spec):
            raise StrataError("is needed, or content, and not both", option="path")
        for option in ("owner_id", "group_id"):
            if self.spec.get(option, 0) < 0:
                raise StrataError("is no number of a user or group", option=option, value=self.spec[option])
        if "content" in self.spec and "mode" not in self.spec:
            raise StrataError("is needed with content", option="mode")
        self.data = self._bytes()

    data: bytes | None = None
    """The content that was given."""
    place: str = ""
    """The path that is meant, links followed or not."""

    def _bytes(self) -> bytes | None:
        text = self.spec.get("content")
        if text is None:
            return None
        if not self.spec["content_is_b64"]:
            return str(text).encode()
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise StrataError("is no Base64", option="content") from None

    @property
    def entry(self) -> str:
        return f"{self.spec['container']}:{self.name}"

    # What there is.

    @classmethod
    def read_many(cls, engine: Inside, names: Iterable[str] | None) -> dict[str, State]:
        return {}  # which container, only a declaration tells

    def observe(self, engine: Inside, state: State) -> State:
        container = self.spec["container"]
        self.place = engine.followed(container, self.name) if self.spec["follow"] else self.name
        file = engine.file(container, self.place)
        wanted = self._wanted(file)
        if file is None:
            folder = engine.look(container, posixpath.dirname(self.place))
            if folder is None:
                raise StrataError("its folder is not in the container", option="container_path", value=self.place)
            return State(document=wanted)
        if file.sort == "directory":
            raise StrataError("is a folder in the container", option="container_path", value=self.place)
        config = {
            "sort": file.sort,
            "bytes": file.content,
            "mode": file.mode,
            "owner_id": file.owner,
            "group_id": file.group,
        }
        return State("present", config, facts={"path": self.place}, document=wanted)

    def _wanted(self, there: File | None) -> File:
        """The file that is to be: what isn't declared of it stays as it is there, or is that of the host's file."""
        if self.data is not None:
            made_of = File("file", words.content_of(io.BytesIO(self.data)), self.spec["mode"], 0, 0)
        else:
            made_of = words.host_file(self.spec["path"], self.spec["local_follow"])
        if there is not None:
            made_of = replace(made_of, owner=there.owner, group=there.group)
        given = {"mode": "mode", "owner_id": "owner", "group_id": "group"}
        return replace(made_of, **{key: self.spec[option] for option, key in given.items() if option in self.spec})

    def settings(self, state: State) -> dict[str, Any]:
        if self.spec.get("force") is False and state.exists:
            return {}
        wanted: File = state.document
        mode = {} if wanted.sort == "link" else {"mode": wanted.mode}  # that of a link says nothing
        return {**super().settings(state), "sort": wanted.sort, "bytes": wanted.content, **mode}

    # What is to be done.

    def plan(self, state: State) -> Plan:
        plan = super().plan(state)
        if self.spec.get("force") and not plan and not self.settling:
            return replace(plan, changes=(Change("force", None, True, Effect.LIVE),), steps=("update",))
        return plan

    settling = False
    """It was just put there."""

    def settled(self) -> Resource:
        settled = type(self)(self.options)
        settled.settling = True
        return settled

    def create(self, engine: Inside, plan: Plan) -> None:
        wanted: File = plan.state.document
        if wanted.sort == "link":
            engine.put(self.spec["container"], self.place, wanted, None)
            return
        with self._opened() as source:
            if words.content_of(source) != wanted.content:
                raise StrataError("changed meanwhile", option="path", value=self.spec.get("path"), hint="Run again")
            source.seek(0)
            engine.put(self.spec["container"], self.place, wanted, source)

    update = create

    def _opened(self) -> IO[bytes]:
        if self.data is None:
            return open(self.spec["path"], "rb")
        file = tempfile.TemporaryFile(dir="/var/tmp")  # noqa: SIM115 (the caller closes it)
        file.write(self.data)
        file.seek(0)
        return file

    def outcome(self, state: State) -> dict[str, Any]:
        return {"container_path": self.place}

    @classmethod
    def export(cls, name: str, state: State) -> dict[str, Any]:
        options = super().export(name, state)
        return {key: value for key, value in options.items() if key != "state"}

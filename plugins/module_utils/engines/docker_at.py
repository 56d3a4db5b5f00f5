# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where an option of a container lives: how it is read from what ``inspect`` says, and written into a request.

What a container takes from its image counts as unset: it is "own" only where it differs from the image. So an
image's own environment is no drift, and follows the image when that changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..core.codec import MAX, Codec
from .docker_networks import at, put

Document = Mapping[str, Any]
Body = dict[str, Any]


@dataclass(frozen=True)
class At:
    """How a value is read from what ``inspect`` says and the image gave, and written into the body of a request."""

    read: Callable[[Document, Document], Any]
    write: Callable[[Body, Any], None]


def own(values: Mapping[str, Any] | None, given: Mapping[str, Any] | None) -> dict[str, Any]:
    """The values that the image didn't give."""
    return {key: value for key, value in (values or {}).items() if (given or {}).get(key) != value}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def host(key: str, empty: Any = None, codec: Codec | None = None) -> At:
    """A path in HostConfig; with a codec, its value is read by that.

    Args:
        key: The path, with dots.
        empty: What an absent value means, and is written as none at all.
        codec: Makes the canonical value of what the engine says.
    """

    def read(document: Document, _image: Document) -> Any:
        value = at(document["HostConfig"], key) or empty
        return codec.parse(value or ()) if codec else value

    def write(body: Body, value: Any) -> None:
        put(body["HostConfig"], key, _plain(value))

    return At(read, write)


def config(key: str, codec: Codec, empty: Any) -> At:
    """A key of Config, where the image may have one, too."""

    def read(document: Document, image: Document) -> Any:
        value = document["Config"].get(key)
        return codec.parse(value) if value and value != image.get(key) else empty

    def write(body: Body, value: Any) -> None:
        body.pop(key, None)
        if value != empty:
            body[key] = _plain(value)

    return At(read, write)


def number(key: str) -> At:
    """A number in HostConfig; absent, zero or negative means what the engine has by itself."""

    def read(document: Document, _image: Document) -> Any:
        return max(0, document["HostConfig"].get(key) or 0)

    def write(body: Body, value: Any) -> None:
        body["HostConfig"].pop(key, None)
        if value:
            body["HostConfig"][key] = value

    return At(read, write)


def limit(key: str, to_engine: Callable[[int], int] = int, from_engine: Callable[[int], int] = int) -> At:
    """A number of HostConfig; absent, zero or negative means no limit."""

    def read(document: Document, _image: Document) -> Any:
        value = document["HostConfig"].get(key) or 0
        return from_engine(value) if value > 0 else MAX

    def write(body: Body, value: Any) -> None:
        body["HostConfig"].pop(key, None)
        if value != MAX:
            body["HostConfig"][key] = to_engine(value)

    return At(read, write)

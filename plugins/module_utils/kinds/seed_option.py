# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option ``cloud_init`` of virtual machines: what one tells cloud-init, which a digest of its seed stands for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from ..core.codec import LINE, Codec
from ..core.errors import StrataError
from ..core.field import Field, arguments, decode
from ..engines import iso, nocloud

_ROW = (
    Field("user_data", Codec(nocloud.parse_data, "raw"), required=True),
    Field("vendor_data", Codec(nocloud.parse_data, "raw")),
    Field("meta_data", Codec(dict, "dict")),
    Field("network_config", Codec(nocloud.parse_network, "dict")),
    Field("instance_id", LINE),
)


def image(value: Mapping[str, Any]) -> bytes:
    """The seed that a declaration makes: the same to the byte each time."""
    return iso.build(nocloud.LABEL, nocloud.contents(decode(_ROW, value)))


def digest(data: bytes) -> str:
    """What stands for a seed."""
    return hashlib.sha256(data).hexdigest()[:16]


def parse(value: Any) -> str:
    """The digest of what is declared.

    Raises:
        StrataError: It isn't what cloud-init takes.
    """
    if nocloud.INSTANCE in (value.get("meta_data") or {}):
        raise StrataError("is the option instance_id", option="meta_data", value=nocloud.INSTANCE)
    if not value.get("user_data"):
        raise StrataError("is needed: it is what the machine is told", option="user_data")
    return digest(image(value))


class SeedField(Field):
    """An option with entries that is compared as one."""

    def argument(self) -> dict[str, Any]:
        return {**super().argument(), "options": arguments(_ROW)}

# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task gives to be kept: as text, in Base64, or in a file of the host."""

from __future__ import annotations

import base64
import binascii
from typing import ClassVar

from ..core.codec import BOOL, PATH
from ..core.errors import StrataError
from ..core.field import Field, Role
from ..core.resource import Resource

HOW = (
    Field("data_is_b64", BOOL, role=Role.POLICY, given=False),
    Field("data_src", PATH, role=Role.POLICY),
)
"""The options beside ``data``."""


class GivenData(Resource):
    """A kind that keeps data.

    Class attributes:
        keeper: Who keeps it, for messages.
        largest: Bytes that are kept at most.
    """

    keeper: ClassVar[str]
    largest: ClassVar[int]

    def check(self) -> None:
        super().check()
        if "data" in self.spec and "data_src" in self.spec:
            raise StrataError("can't go with data", option="data_src", hint="Give one of them")
        if "data" in self.spec:
            self._fits(self._bytes(self.spec["data"]), "data")

    def files(self) -> list[tuple[str, str]]:
        return [("data_src", self.spec["data_src"])] if "data_src" in self.spec and self.target == "present" else []

    def given_data(self) -> bytes | None:
        """What is to be kept; None: whatever is.

        Raises:
            StrataError: The file can't be read, or has more or less than is kept.
        """
        if "data" in self.spec:
            return self._bytes(self.spec["data"])
        if "data_src" not in self.spec or ("path", self.spec["data_src"]) in self.promised:
            return None
        path = self.spec["data_src"]
        try:
            with open(path, "rb") as file:
                return self._fits(file.read(self.largest + 1), "data_src")
        except OSError as error:
            raise StrataError(f"can't be read: {error.strerror}", option="data_src", value=path) from None

    def _bytes(self, text: str) -> bytes:
        if not self.spec["data_is_b64"]:
            return text.encode()
        try:
            return base64.b64decode(text, validate=True)
        except binascii.Error:
            raise StrataError("is not what data_is_b64 says it is", option="data") from None

    def _fits(self, data: bytes, option: str) -> bytes:
        if not 0 < len(data) <= self.largest:
            said = f"is of {len(data)} bytes: {self.keeper} keeps from 1 to {self.largest}"
            raise StrataError(said, option=option)
        return data

# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The UEFI firmware that a host has for its guests, from its descriptions (QEMU: docs/interop/firmware.json)."""

from __future__ import annotations

import glob
import json
import os
from typing import Any, NamedTuple

from ..core import files
from ..core.errors import StrataError

# Later folders are of lower rank; a file of the same name in an earlier one hides it.
FOLDERS = ("/etc/qemu/firmware", "/usr/share/qemu/firmware")
_TARGET = "x86_64"
_PACKAGE = "ovmf (Debian) or edk2-ovmf (Fedora)"


class Firmware(NamedTuple):
    """The code, and what the variables of a new machine begin as."""

    code: str
    variables: str


def find(secure: bool) -> Firmware:
    """The first that fits, in the order that the host's administrator and its distribution gave them.

    Args:
        secure: Whether only signed systems are to boot, by the keys that are enrolled.

    Raises:
        StrataError: There is none.
    """
    names: dict[str, str] = {}
    for folder in reversed(FOLDERS):
        names.update({os.path.basename(path): path for path in glob.glob(f"{folder}/*.json")})
    for name in sorted(names):
        try:
            found = _fitting(json.loads(files.read(names[name]) or "{}"), secure)
        except (ValueError, KeyError, TypeError):  # an empty one hides another, and one that is broken is of no use
            continue
        if found:
            return found
    word = "secure" if secure else "uefi"
    raise StrataError("this host has no such firmware", option="firmware", value=word, hint=f"Install {_PACKAGE}")


def _fitting(told: dict[str, Any], secure: bool) -> Firmware | None:
    features, mapping = set(told["features"]), told["mapping"]
    fits = "uefi" in told["interface-types"] and any(one["architecture"] == _TARGET for one in told["targets"])
    keyed = {"secure-boot", "enrolled-keys"} <= features
    if not fits or mapping["device"] != "flash" or keyed != secure:
        return None
    if not secure and "requires-smm" in features:
        return None
    code, variables = mapping["executable"], mapping["nvram-template"]
    return Firmware(code["filename"], variables["filename"]) if code["format"] == "raw" else None

# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tells one secret from another one where what is kept can't be read back."""

from __future__ import annotations

import hashlib
import os


def fingerprint(data: bytes, kept: str | None = None) -> str:
    """A digest that doesn't give away what is easily guessed: it is costly, and salted.

    Args:
        data: The secret.
        kept: The fingerprint to compare with, whose salt is taken.
    """
    salt = bytes.fromhex(kept.partition(":")[0]) if kept else os.urandom(16)
    made = hashlib.scrypt(data, salt=salt, n=1 << 14, r=8, p=1, dklen=32)
    return f"{salt.hex()}:{made.hex()}"

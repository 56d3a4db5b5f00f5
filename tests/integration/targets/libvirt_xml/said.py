# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a document says, without regard to the spelling."""

from __future__ import annotations

import xml.etree.ElementTree as ET

SAME = {
    "2001:db8:ca2:2:0::1": "2001:db8:ca2:2::1",
    "0x806": "arp",
    "255.255.255.0": "24",
    "$dstports[ 1 ]": "$dstports[1]",
}


def plain(text: str | None) -> str:
    """A spelling that two of the same meaning have in common."""
    word = (text or "").strip().lower()
    word = SAME.get(word, word)
    return str(int(word, 16)) if word.startswith("0x") else word


def leaves(element: ET.Element, path: str = "") -> set[tuple[str, str]]:
    """Where in a document which values are; not in which of several elements of one name."""
    found = {(f"{path}@{name}", plain(value)) for name, value in element.items()}
    if path and (plain(element.text) or not (element.attrib or len(element))):
        found.add((path, plain(element.text)))
    for below in element:
        if isinstance(below.tag, str):
            found |= leaves(below, f"{path}/{below.tag}" if path else below.tag)
    return found

# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How overlayfs spells its layers and options (Linux: Documentation/filesystems/overlayfs.rst)."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..core import files
from . import mounts

TYPE = "overlay"
DATA_MAX = 4095  # mount(2) passes one page, with a NUL at its end

CHOICES: dict[str, tuple[str, ...]] = {
    "metacopy": ("on", "off"),
    "redirect_dir": ("on", "follow", "nofollow", "off"),
    "index": ("on", "off"),
    "nfs_export": ("on", "off"),
    "verity": ("on", "off", "require"),
    "userxattr": (),
    "volatile": (),
    "default_permissions": (),
    **dict.fromkeys(mounts.FLAGS, ()),
}
"""The options that can be declared, each with its values. ``uuid`` and ``xino`` can't: what they come to depends on the
layers, and the kernel doesn't always show it."""

_PARAMETERS = "/sys/module/overlay/parameters"


def escape(path: str) -> str:
    """A layer as overlayfs reads it: colons end a layer, commas an option (fs/overlayfs/params.c)."""
    return re.sub(r"([\\:,])", r"\\\1", path)


def unescape(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


def split(text: str) -> tuple[str, ...]:
    """The layers of ``lowerdir``, the uppermost first."""
    return tuple(unescape(layer) for layer in re.findall(r"((?:\\.|[^:\\])+)", text, flags=re.DOTALL))


def normal(words: Iterable[str], defaults: Mapping[str, str], *, upper: bool) -> tuple[str, ...]:
    """Options without those that are so anyway, and with those that follow from them.

    The kernel shows what differs from its module's parameters, and what it concluded itself (ovl_fs_params_verify).
    """
    given = dict(word.partition("=")[::2] for word in words)
    implied = [("metacopy", "on", "redirect_dir", "on"), ("userxattr", "", "redirect_dir", "nofollow")]
    implied += [("nfs_export", "on", "index", "on")] if upper else []
    if given.get("redirect_dir") == "off":
        given["redirect_dir"] = "follow" if defaults["follows"] else "nofollow"
    for option, value, other, follows in implied:
        if given.get(option) == value:
            given.setdefault(other, follows)
            defaults = {**defaults, other: ""}  # said, it counts, be it the default or not
    if not upper:
        given.pop("ro", None)  # without an upper layer it can't be otherwise
        if given.get("redirect_dir") in ("on", "follow"):
            del given["redirect_dir"]  # nothing is redirected; the kernel follows, and calls it on
    left = {name: value for name, value in given.items() if not value or value != defaults.get(name)}
    return tuple(sorted(f"{name}={value}" if value else name for name, value in left.items()))


def defaults() -> dict[str, str]:
    """What options are where nobody gives them: the parameters of the kernel's module."""

    def parameter(name: str, otherwise: str) -> bool:
        return (files.read(f"{_PARAMETERS}/{name}") or otherwise).strip() == "Y"

    found = {name: "on" if parameter(name, "N") else "off" for name in ("metacopy", "index", "nfs_export")}
    follows = parameter("redirect_always_follow", "Y")
    redirects = "on" if parameter("redirect_dir", "N") else "follow" if follows else "nofollow"
    return {**found, "verity": "off", "redirect_dir": redirects, "follows": "yes" if follows else ""}


def data(values: Mapping[str, Any]) -> str:
    """The options of mount(2) that stand for layers and words; flags of the mount aren't among them."""
    said = ["lowerdir=" + ":".join(escape(layer) for layer in values["lower"])]
    if values.get("upper"):
        said += [f"upperdir={escape(values['upper'])}", f"workdir={escape(values['work'])}"]
    return ",".join([*said, *(word for word in values.get("options") or () if word not in mounts.FLAGS)])


def flags(values: Mapping[str, Any]) -> list[str]:
    """The flags of the mount, in words."""
    read_only = [] if values.get("upper") else ["ro"]
    return sorted({*read_only, *(word for word in values.get("options") or () if word in mounts.FLAGS)})


def read(words: Iterable[tuple[str, str | None]], known: Mapping[str, str]) -> dict[str, Any]:
    """Layers and options, from what mountinfo or a unit says; ``known`` are the kernel's defaults."""
    values: dict[str, Any] = {"lower": (), "upper": None, "work": None}
    options = []
    for name, value in words:
        if name == "lowerdir":
            values["lower"] += split(value or "")
        elif name in ("lowerdir+", "datadir+"):
            values["lower"] += (value or "",)  # one at a time, and without escapes
        elif name in ("upperdir", "workdir"):
            values[name[:-3]] = unescape(value or "")
        elif (name, value) == ("fsync", "volatile"):
            options.append("volatile")  # what kernels with the option fsync call it
        elif name in CHOICES:
            options.append(f"{name}={value}" if value else name)
    values["options"] = normal(options, known, upper=values["upper"] is not None)
    return values


def read_text(text: str, known: Mapping[str, str]) -> dict[str, Any]:
    """Layers and options, from the text that ``data`` and ``flags`` made."""
    words = re.findall(r"((?:\\.|[^,\\])+)", text, flags=re.DOTALL)
    pairs = (word.partition("=") for word in words)
    return read([(name, value if equals else None) for name, equals, value in pairs], known)


def forgive(work: str) -> None:
    """Have a volatile overlay's layers accepted again: they were synced and unmounted in good order.

    The kernel leaves a mark that they may be torn; it is ours to say that they aren't ("Volatile mount").
    """
    mark = f"{work}/work/incompat/volatile"
    with contextlib.suppress(OSError):
        os.unlink(f"{mark}/dirty")
    for folder in (mark, os.path.dirname(mark)):
        with contextlib.suppress(OSError):
            os.rmdir(folder)

# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an lxc_container is made from: LXC's templates, a root file system, another container or a snapshot of one."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..core import command
from ..core.codec import LINE, NAME, PATH, Codec
from ..core.errors import StrataError
from ..core.field import Field, structure
from ..engines import lxc_trees
from ..engines.lxc import Lxc
from ..engines.lxc_config import INCLUDE, Config
from .lxc_fields import ROOTFS

COMMON = "/usr/share/lxc/config/common.conf"
NAMED = "lxc.uts.name"
_HARDWARE = re.compile(r"lxc\.net\.\d+\.(hwaddr|veth\.pair)")
_OURS = "# strata.virt:"


def _parse_word(value: Any) -> str:
    text = str(value)
    if not re.fullmatch(r"[A-Za-z0-9][\w.:/-]*", text):
        raise ValueError("is one word, as the image server has it")
    return text


_WORD = Codec(_parse_word)

SOURCE = structure(
    Field("rootfs", PATH),
    Field("container", NAME),
    Field("snapshot", NAME),
    Field(
        "download",
        structure(
            Field("distribution", _WORD, required=True),
            Field("release", _WORD, required=True),
            Field("architecture", _WORD, required=True),
            Field("variant", _WORD),
            Field("server", _WORD),
        ),
    ),
    Field("local", structure(Field("metadata", PATH, required=True), Field("tree", PATH, required=True))),
    Field("oci", LINE),
)


@dataclass(frozen=True)
class Template:
    """A template of LXC.

    Attributes:
        options: What it is called with, from the leaf of ``source`` that has its name.
        programs: What it runs, each with its package.
    """

    options: Callable[[Any], list[str]]
    programs: tuple[tuple[str, str], ...] = ()


def _download(image: Mapping[str, str]) -> list[str]:
    words = {
        "--dist": "distribution",
        "--release": "release",
        "--arch": "architecture",
        "--variant": "variant",
        "--server": "server",
    }
    return [text for option, leaf in words.items() if leaf in image for text in (option, image[leaf])]


TEMPLATES = {
    "download": Template(_download, (("wget", "wget"), ("xz", "xz-utils"))),
    "local": Template(
        lambda files: ["--metadata", files["metadata"], "--fstree", files["tree"]], (("xz", "xz-utils"),)
    ),
    "oci": Template(lambda url: ["--url", url], (("skopeo", "skopeo"), ("umoci", "umoci"), ("jq", "jq"))),
}


def check(spec: Mapping[str, Any]) -> None:
    """Refuse what doesn't go together.

    Raises:
        StrataError: It names the option.
    """
    source = spec.get("source")
    if source is None:
        return
    if spec.get("template"):
        raise StrataError("doesn't go with template", option="source", hint="Give one of them only")
    words = sorted(source.keys() - {"snapshot"})
    if len(words) != 1:
        raise StrataError(
            "is one of rootfs, container, download, local and oci", option="source", value=", ".join(words) or None
        )
    if "snapshot" in source and words != ["container"]:
        raise StrataError("goes with container", option="source.snapshot", value=source["snapshot"])


def template(spec: Mapping[str, Any]) -> tuple[str, list[str]] | None:
    """The template that makes it, and what that is called with; None where none is needed."""
    for word, one in TEMPLATES.items():
        if word in (spec.get("source") or {}):
            return word, one.options(spec["source"][word])
    name = spec.get("template")
    return None if name is None else (str(name), list(spec.get("template_options", ())))


def files(spec: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The files of the host that are needed, and the options that name them."""
    source = spec.get("source") or {}
    found = [("source", source["rootfs"])] if "rootfs" in source else []
    return found + [("source", path) for path in (source.get("local") or {}).values()]


def look(engine: Lxc, name: str, spec: Mapping[str, Any], promised: bool) -> None:
    """Make sure that a container can be made, as far as it depends on LXC and its programs.

    Args:
        engine: Where the container is to be.
        name: The container.
        spec: What was declared.
        promised: The container that it is made from is made before.

    Raises:
        StrataError: There is nothing to make it from, or something is missing for it.
    """
    chosen = template(spec)
    if chosen is not None:
        engine.check_template(chosen[0])
        for program, package in TEMPLATES[chosen[0]].programs if "source" in spec else ():
            command.need(program, package)
    elif "source" not in spec:
        raise StrataError("is needed to make the container, or source", option="template")
    elif engine.rootless:
        raise StrataError("needs root to be copied", option="source", hint="Become root, or name a template")
    elif not promised:
        tree(engine, name, spec["source"])


def tree(engine: Lxc, name: str, source: Mapping[str, Any]) -> tuple[str, Config, Config]:
    """Where the tree is that a container is made from, its configuration, and the one that it had when it was made.

    Raises:
        StrataError: There is no such container, it runs, or its root is no directory.
    """
    if "rootfs" in source:
        config = Config(engine.default_config().text)
        if os.path.exists(COMMON):
            config.put_first(INCLUDE, COMMON)
        config.put(NAMED, name)
        return source["rootfs"], config, config
    other = str(source["container"])
    folder = engine.folder(other)
    if "snapshot" in source:
        folder = f"{folder}/snaps/{source['snapshot']}"
    text = engine.config_at(folder)
    if text is None:
        what = f"no snapshot {source['snapshot']} of {other}" if "snapshot" in source else f"no container {other}"
        raise StrataError(f"there is {what}", option="source", value=other)
    if "snapshot" not in source and engine.active([other]):
        hint = "Stop it, or make a snapshot of it (lxc_snapshot) and name that"
        raise StrataError(
            "runs, so that what would be copied changes meanwhile", option="source", value=other, hint=hint
        )
    top = lxc_trees.path(text.get(ROOTFS))
    if top is None or not os.path.isdir(top):
        raise StrataError(
            "has a root that is no plain directory",
            option="source",
            value=text.get(ROOTFS),
            hint="Copy it with lxc-copy",
        )
    made = engine.config_at(folder, "config.created") or text
    return top, _renamed(text, name), _renamed(made, name)


def _renamed(config: Config, name: str) -> Config:
    """A configuration for a container of another name: what tells one from others is left out."""
    copy = Config(config.text)
    copy.lines = [line for line in copy.lines if not _HARDWARE.fullmatch(line.key) and not line.text.startswith(_OURS)]
    copy.put(NAMED, name)
    return copy

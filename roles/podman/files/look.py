# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""look.py WANTED: what Podman's files are to say, and whether it reads them. As JSON.

Changes nothing. WANTED is JSON: storage, containers, registries, policy (each empty: not managed), files (their paths
by the same names), hide.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

GRAPHROOT = "/var/lib/containers/storage"
HEADER = "# Written by strata.virt.podman\n"


def text(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return None


# TOML, as far as these files use it (containers.conf(5), containers-storage.conf(5), containers-registries.conf(5)).


def value(item: Any) -> str:
    if isinstance(item, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {value(one)}" for key, one in item.items()) + "}"
    if isinstance(item, list):
        return "[" + ", ".join(map(value, item)) + "]"
    return json.dumps(item, ensure_ascii=False)


def sections(tree: dict[str, Any], name: str = "") -> Iterator[tuple[str, str, str]]:
    """Each value of a tree of mappings, with its section and its key."""
    for key, item in tree.items():
        if isinstance(item, dict):
            yield from sections(item, f"{name}.{key}" if name else key)
        else:
            yield name, key, value(item)


def rendered(tree: dict[str, Any]) -> str:
    """A whole file; lists of mappings are tables of their own, each after those of the mappings around it."""
    tables = {key: rows for key, rows in tree.items() if isinstance(rows, list) and rows and isinstance(rows[0], dict)}
    lines, last = [HEADER], ""
    for section, key, shown in sorted(sections({k: v for k, v in tree.items() if k not in tables}), key=lambda s: s[0]):
        if section != last:
            lines.append(f"\n[{section}]\n")
            last = section
        lines.append(f"{key} = {shown}\n")
    for name, rows in tables.items():
        for row in rows:
            plain = {key: item for key, item in row.items() if key != "mirrors" and item is not None}
            lines.append(f"\n[[{name}]]\n" + "".join(f"{key} = {value(item)}\n" for key, item in plain.items()))
            for mirror in row.get("mirrors") or []:
                said = "".join(f"{key} = {value(item)}\n" for key, item in mirror.items() if item is not None)
                lines.append(f"\n[[{name}.mirror]]\n{said}")
    return "".join(lines)


def patched(old: str, tree: dict[str, Any]) -> str:
    """A file with some values set, everything else as it was.

    Raises:
        ValueError: A value spans lines, which nobody wrote for these settings so far.
    """
    lines = old.splitlines(keepends=True) or [HEADER]
    if not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    for section, key, shown in sections(tree):
        heads = {line.strip(): place for place, line in enumerate(lines) if line.strip().startswith("[")}
        if f"[{section}]" not in heads:
            lines += ["\n", f"[{section}]\n", f"{key} = {shown}\n"]
            continue
        start = heads[f"[{section}]"] + 1
        end = min([place for place in heads.values() if place >= start], default=len(lines))
        mine = [place for place in range(start, end) if re.match(rf'\s*"?{re.escape(key)}"?\s*=', lines[place])]
        if mine and re.search(r'(\[[^\]]*|"""|\'\'\')\s*$', lines[mine[0]].partition("=")[2]):
            raise ValueError(f"{key} spans several lines: write it on one")
        lines[mine[0] if mine else start : mine[0] + 1 if mine else start] = [f"{key} = {shown}\n"]
    return "".join(lines)


def said(content: str, section: str, key: str) -> str:
    """A text that a file sets; nothing where it doesn't."""
    inside = ""
    for line in content.splitlines():
        head = re.match(r"\s*\[([^\[\]]+)\]", line)
        inside = head.group(1) if head else inside
        found = re.match(rf"\s*{re.escape(key)}\s*=\s*[\"'](.*?)[\"']", line)
        if found and inside == section:
            return found.group(1)
    return ""


# What there is.


def entries(path: str) -> int:
    """How many things a list of containers/storage has."""
    try:
        return len(json.loads(text(path) or "[]"))
    except ValueError:
        return 0


def held(root: str, driver: str = "") -> dict[str, int]:
    """Images, containers and volumes in a graph root; of all drivers but one, where that is named."""
    found = {}
    with contextlib.suppress(OSError):
        for name in os.listdir(root):
            what = re.fullmatch(r"(.+)-(images|containers)", name)
            if what and what.group(1) != driver:
                found[f"{what.group(2)} of {what.group(1)}"] = entries(f"{root}/{name}/{what.group(2)}.json")
    if not driver:
        with contextlib.suppress(OSError):
            found["volumes"] = len(os.listdir(f"{root}/volumes"))
    return {what: number for what, number in found.items() if number}


def hidden(old: str, new: str) -> list[str]:
    """What Podman would see no more with other settings of its storage."""
    before = said(old, "storage", "graphroot") or GRAPHROOT
    after = said(new, "storage", "graphroot") or GRAPHROOT
    driver = said(new, "storage", "driver")
    there = held(before) if before != after else held(before, driver) if driver else {}
    listed = ", ".join(f"{number} {what}" for what, number in sorted(there.items()))
    key = "graphroot" if before != after else "driver"
    return (
        [f"storage {key}: Podman would not see {listed} in {before} any more (podman_hide_existing)"] if there else []
    )


def complaint(files: dict[str, str]) -> str:
    """What Podman says against settings, as it would read them."""
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "LC_ALL": "C.UTF-8"}
        for variable, content in files.items():
            env[variable] = f"{folder}/{variable}"
            with open(env[variable], "w", encoding="utf-8") as file:
                file.write(content)
        try:
            argv = ["podman", "info", "--format", "{{.Registries}}"]
            done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120, env=env)
        except FileNotFoundError:  # it isn't installed yet
            return ""
    return done.stderr.strip().replace(f"{folder}/", "") if done.returncode else ""


def look(wanted: dict[str, Any]) -> dict[str, Any]:
    paths, refused = wanted["files"], []
    olds = {name: text(path) or "" for name, path in paths.items()}
    news: dict[str, str] = {}
    try:
        news["storage"] = patched(olds["storage"], wanted["storage"]) if wanted["storage"] else olds["storage"]
    except ValueError as error:
        refused.append(f"{paths['storage']}: {error}")
    for name in ("containers", "registries"):
        news[name] = rendered(wanted[name]) if wanted[name] else olds[name]
    try:
        policy = json.loads(olds["policy"] or "{}")
        same = all(policy.get(key) == item for key, item in (wanted["policy"] or {}).items())
        whole = {**policy, **(wanted["policy"] or {})}
        news["policy"] = olds["policy"] if same else json.dumps(whole, indent=4) + "\n"
    except ValueError as error:
        refused.append(f"{paths['policy']} can't be read: {error}. Repair it")
    changed = {name: new for name, new in news.items() if new != olds[name]}
    variables = {"containers": "CONTAINERS_CONF_OVERRIDE", "registries": "CONTAINERS_REGISTRIES_CONF"}
    asked = {variables[name]: new for name, new in changed.items() if name in variables}
    said_against = complaint(asked) if asked else ""
    refused += [f"Podman refuses it: {said_against}"] if said_against else []
    if "storage" in changed and not said(news["storage"], "storage", "driver"):
        refused.append(
            f"{paths['storage']} would name no driver, and Podman passes over its options: give podman_storage_driver"
        )
    if "storage" in changed and not wanted["hide"]:
        refused += hidden(olds["storage"], news["storage"])
    files = [{"path": paths[name], "content": new, "before": text(paths[name])} for name, new in changed.items()]
    folders = sorted({os.path.dirname(file["path"]) for file in files})
    folders = [folder for folder in folders if not os.path.isdir(folder)]
    return {
        "refused": refused,
        "folders": folders,
        "files": files,
        "commands": [],
    }  # Podman reads them whenever it is run


if __name__ == "__main__":
    print(json.dumps(look(json.load(sys.stdin))))

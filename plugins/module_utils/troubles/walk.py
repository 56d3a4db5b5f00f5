# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way to a path, folder by folder, and who may go it (path_resolution(7), acl(5))."""

from __future__ import annotations

import grp
import os
import posixpath
import pwd
import stat
import struct
from collections.abc import Collection, Iterable
from typing import Any

from ..core.diagnosis import Facts
from ..core.errors import StrataError
from ..engines.hostfiles import Host

READ, WRITE, PASS = 4, 2, 1

_LINKS_MAX = 40  # include/linux/namei.h: MAXSYMLINKS
_ACL = "system.posix_acl_access"
# include/uapi/linux/posix_acl.h
_USER, _GROUP_OBJ, _GROUP, _MASK = 0x02, 0x04, 0x08, 0x10
_KINDS = {stat.S_IFDIR: "folder", stat.S_IFLNK: "link", stat.S_IFSOCK: "socket", stat.S_IFREG: "file"}


def user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def user(word: str) -> Facts:
    """A user of this host by name or number, with the groups that a login would give.

    Raises:
        StrataError: There is none of that name.
    """
    try:
        entry = pwd.getpwuid(int(word)) if word.isdecimal() else pwd.getpwnam(word)
    except KeyError:
        if word.isdecimal():
            return {"name": word, "uid": int(word), "groups": [int(word)]}
        raise StrataError("there is no such user on this host", option="user", value=word) from None
    return {"name": entry.pw_name, "uid": entry.pw_uid, "groups": os.getgrouplist(entry.pw_name, entry.pw_gid)}


def parse_acl(data: bytes) -> list[list[int]]:
    """Tag, rights and ID of each entry (include/uapi/linux/posix_acl_xattr.h)."""
    return [list(entry) for entry in struct.iter_unpack("<HHI", data[4:])]


def entry(path: str, found: os.stat_result, acl: Iterable[Iterable[int]]) -> Facts:
    return {
        "path": path,
        "kind": _KINDS.get(stat.S_IFMT(found.st_mode), "device"),
        "uid": found.st_uid,
        "gid": found.st_gid,
        "owner": user_name(found.st_uid),
        "group": group_name(found.st_gid),
        "mode": f"{stat.S_IMODE(found.st_mode):04o}",
        "acl": [list(one) for one in acl],
    }


def look(host: Host, path: str) -> Facts:
    """One place, its last part not followed; of kind ``missing`` where it is not there."""
    found = host.status(path)
    if found is None:
        return {"path": path, "kind": "missing"}
    data = b"" if stat.S_ISLNK(found.st_mode) else host.raw_attribute(path, _ACL)
    return entry(path, found, parse_acl(data) if data else [])


def steps(host: Host, path: str) -> list[Facts]:
    """Each place that a walk to a path comes by, the links and where they lead included; it ends where nothing is."""
    found = [look(host, "/")]
    here, left, links = "/", [part for part in path.split("/") if part], 0
    while left:
        part = left.pop(0)
        if part in (".", ".."):
            here = posixpath.normpath(posixpath.join(here, part))
            continue
        place = posixpath.join(here, part)
        step = look(host, place)
        if step["kind"] == "link":
            step["target"] = target = host.target(place) or ""
            links += 1
            left = [word for word in target.split("/") if word] + left
            here = "/" if target.startswith("/") else here
        else:
            here = place
        found.append(step)
        if step["kind"] == "missing" or links > _LINKS_MAX:
            break
    return found


def _by_list(step: Facts, uid: int, groups: Collection[int]) -> int | None:
    """The rights that a list gives a user who is not the owner; None: what others have (acl(5), ACCESS CHECK)."""
    mask = next((rights for tag, rights, _id in step["acl"] if tag == _MASK), 7)
    for tag, rights, number in step["acl"]:
        if tag == _USER and number == uid:
            return int(rights & mask)
    mine = [
        rights & mask
        for tag, rights, number in step["acl"]
        if (tag == _GROUP and number in groups) or (tag == _GROUP_OBJ and step["gid"] in groups)
    ]
    return max(mine, key=lambda rights: bin(rights).count("1")) if mine else None


def rights(step: Facts, who: dict[str, Any]) -> int:
    """The bits of READ, WRITE and PASS that a user has by mode and list; root has them all (capabilities(7))."""
    mode = int(step["mode"], 8)
    if who["uid"] == 0:
        return 7
    if who["uid"] == step["uid"]:
        return mode >> 6 & 7
    if step["acl"]:
        listed = _by_list(step, who["uid"], who["groups"])
        return mode & 7 if listed is None else listed
    return mode >> 3 & 7 if step["gid"] in who["groups"] else mode & 7

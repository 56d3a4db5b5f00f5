# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mounts: what mountinfo says, and how paths are spelled for overlayfs and for systemd. Recorded from a host."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.strata.virt.plugins.module_utils.engines import mounts, mountunit, overlayfs

FIXTURES = Path(__file__).parents[1] / "fixtures" / "overlay"
TOP = "/srv/strata-test/t"
PATHS = st.lists(
    st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1), min_size=1, max_size=4
).map(lambda parts: "/" + "/".join(parts))
KNOWN = {"metacopy": "off", "index": "off", "nfs_export": "off", "verity": "off", "redirect_dir": "follow"}
KNOWN["follows"] = "yes"


@pytest.fixture
def table():
    return mounts.Table(mounts.parse((FIXTURES / "mountinfo").read_text()))


def as_kernel(text: str) -> str:
    """As fs/seq_file.c writes it, with the comma that fs/overlayfs/super.c adds."""
    raw = (b"\\%03o" % byte if byte in b" \t\n\\,#" else bytes([byte]) for byte in os.fsencode(text))
    return os.fsdecode(b"".join(raw))


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_octal_escapes_read_back(text):
    assert mounts.plain(as_kernel(text)) == text


@given(st.lists(PATHS, min_size=1, max_size=4), PATHS, PATHS)
def test_layers_read_back_from_the_kernel_and_from_text(lower, upper, work):
    values = {"lower": tuple(lower), "upper": upper, "work": work, "options": ("metacopy=on", "redirect_dir=on")}
    data = overlayfs.data(values)
    assert overlayfs.read_text(data, KNOWN) == values
    pairs = ((name, overlayfs.escape(value)) for name, value in (("upperdir", upper), ("workdir", work)))
    told = [("lowerdir", ":".join(map(overlayfs.escape, lower))), *pairs, ("redirect_dir", "on"), ("metacopy", "on")]
    line = ",".join(f"{name}={as_kernel(value)}" for name, value in told)
    (mount,) = mounts.parse(f"47 42 0:40 / /m rw,relatime shared:1 master:2 - overlay strata: rw,{line}\n")
    assert overlayfs.read(mount.options, KNOWN) == values


@given(PATHS)
def test_names_of_units_read_back(path):
    assert mountunit.unescape(mountunit.escape(path)) == path


def test_names_of_units_are_systemds():
    for line in (FIXTURES / "escaped").read_text().splitlines():
        path, escaped = line.split("\t")
        assert mountunit.escape(path) == escaped


def test_what_is_mounted_where(table):
    (merged,) = table.at(f"{TOP}/merged")
    assert (merged.type, merged.source) == ("overlay", "strata:web")
    assert merged.flags >= {"rw", "nosuid"}
    assert [mount.source for mount in table.at(f"{TOP}/twice")] == ["strata:web", "overlay"]
    assert [mount.type for mount in table.at(f"{TOP}/covered")] == ["overlay", "tmpfs"]
    assert table.at(f"{TOP}/odd names")
    assert table.at(f"{TOP}/a") == []


def test_in_which_mount_a_path_lies(table):
    assert table.holding("/srv/strata-test/x").point == "/"
    assert table.holding(f"{TOP}/a/not/there").point == TOP
    assert table.holding(f"{TOP}/covered/x").type == "tmpfs"
    assert table.holding("/dev/pts/0").id == 29  # the upper one of two


def test_what_another_mount_hides_is_not_seen():
    lines = [
        "1 0 8:1 / / rw - ext4 /dev/sda rw",
        "2 1 0:2 / /srv/m rw - overlay strata: rw,lowerdir=/a:/b",
        "3 1 0:3 / /srv rw - tmpfs none rw",
    ]
    assert mounts.Table(mounts.parse("\n".join(lines[:2]))).at("/srv/m")
    assert mounts.Table(mounts.parse("\n".join(lines))).at("/srv/m") == []


def test_below_is_not_beside(table):
    assert {mount.point for mount in table.below(f"{TOP}/mer")} == set()
    assert len(table.below(TOP)) == 8


def test_what_the_kernel_concluded_is_normal():
    normal = overlayfs.normal
    assert normal(["metacopy=on"], KNOWN, upper=True) == ("metacopy=on", "redirect_dir=on")
    assert normal(["nfs_export=on"], KNOWN, upper=True) == ("index=on", "nfs_export=on")
    assert normal(["redirect_dir=off", "index=off"], KNOWN, upper=True) == ()
    assert normal(["userxattr"], KNOWN, upper=True) == ("redirect_dir=nofollow", "userxattr")
    assert normal(["ro", "redirect_dir=on"], KNOWN, upper=False) == ()
    assert normal(["index=off"], {**KNOWN, "index": "on"}, upper=True) == ("index=off",)


@given(st.sets(st.sampled_from(["metacopy=on", "nfs_export=on", "index=off", "ro", "nodev"])), st.booleans())
def test_what_is_normal_stays_so(words, upper):
    once = overlayfs.normal(words, KNOWN, upper=upper)
    assert overlayfs.normal(once, KNOWN, upper=upper) == once


def test_units_keep_what_others_wrote():
    old = "# Theirs\n[Unit]\nAfter=network.target\nRequiresMountsFor=/old\n\n[Mount]\nWhere=/m\nTimeoutSec=9\n"
    sets = {("Unit", "RequiresMountsFor"): mountunit.mounts_for(["/a b", "/50%"]), ("Mount", "Where"): ["/n"]}
    text = mountunit.text(old, sets)
    assert 'RequiresMountsFor="/a b"\nRequiresMountsFor="/50%%"\n' in text
    assert "# Theirs\n[Unit]\nAfter=network.target\n" in text
    assert "Where=/n\nTimeoutSec=9\n" in text
    assert not mountunit.spellable('/a"b')
    assert not mountunit.spellable("/a ")
    assert mountunit.spellable("/a b:c,d")

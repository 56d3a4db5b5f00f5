# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Codecs: two spellings of one thing are one value, and what is printed reads back as the same."""

from __future__ import annotations

import mmap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.strata.virt.plugins.module_utils.core import codec

PAGE = mmap.PAGESIZE


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1G", 1024**3),
        ("1g", 1024**3),
        ("1GiB", 1024**3),
        ("1GB", 1024**3),
        ("1.5G", 3 * 1024**3 // 2),
        ("512m", 512 * 1024**2),
        (4096, 4096),
        ("4096", 4096),
        ("4096b", 4096),
        ("max", "max"),
        (" 2 T ", 2 * 1024**4),
    ],
)
def test_sizes(text, size):
    assert codec.SIZE.parse(text) == size


@pytest.mark.parametrize("text", ["12X", "-1", "", "G", "1 1", "1.5.2G", "0x10", None, [], "nan"])
def test_bad_sizes(text):
    with pytest.raises(ValueError, match="is no size"):
        codec.SIZE.parse(text)


@given(st.integers(min_value=0, max_value=2**62))
def test_sizes_read_back(size):
    assert codec.SIZE.parse(codec.SIZE.show(size)) == size


@given(st.integers(min_value=PAGE, max_value=2**62))
def test_memory_is_floored_to_pages_once(size):
    floored = codec.MEMORY.parse(size)
    assert floored % PAGE == 0
    assert 0 <= size - floored < PAGE
    assert codec.MEMORY.parse(codec.MEMORY.show(floored)) == floored


@pytest.mark.parametrize(
    ("value", "quota"), [(2, 200_000), ("1.5", 150_000), (0.1, 10_000), ("max", "max"), ("2.0", 200_000)]
)
def test_cpus(value, quota):
    assert codec.CPUS.parse(value) == quota


@pytest.mark.parametrize("value", [-1, 0, "0.001", "two", "inf", "nan", ""])
def test_bad_cpus(value):
    with pytest.raises(ValueError, match="cpus"):
        codec.CPUS.parse(value)


@given(st.integers(min_value=1000, max_value=10**9))
def test_cpus_read_back(quota):
    assert codec.CPUS.parse(codec.CPUS.show(quota)) == quota


@pytest.mark.parametrize("value", [0, -1, "many", 1.5])
def test_bad_pids(value):
    with pytest.raises(ValueError, match=r"must be|whole number"):
        codec.PIDS.parse(value)


@pytest.mark.parametrize("name", ["web", "a.b", "A-1_x", "1"])
def test_names(name):
    assert codec.NAME.parse(name) == name


@given(st.text(max_size=300))
def test_no_name_leads_anywhere(text):
    try:
        name = codec.NAME.parse(text)
    except ValueError:
        return
    assert "/" not in name
    assert ".." not in name
    assert not name.startswith(("-", "."))
    assert name.isascii()
    assert name.isprintable()
    assert 0 < len(name) <= 200


@pytest.mark.parametrize(("text", "path"), [("/a//b/", "/a/b"), ("/", "/"), ("/a", "/a")])
def test_paths(text, path):
    assert codec.PATH.parse(text) == path


@pytest.mark.parametrize("text", ["a", "", "/a/../b", "/a\nb", "/a\0", "../x"])
def test_bad_paths(text):
    with pytest.raises(ValueError, match="must"):
        codec.PATH.parse(text)


@pytest.mark.parametrize(("text", "seconds"), [(30, 30), ("30s", 30), ("5m", 300), ("1h30m", 5400), ("0", 0)])
def test_durations(text, seconds):
    assert codec.SECONDS.parse(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-1", "1d", "1.5"])
def test_bad_durations(text):
    with pytest.raises(ValueError, match="is no duration"):
        codec.SECONDS.parse(text)


def test_sets_have_no_order():
    assert codec.WORDS.parse(["b", "a", "b"]) == codec.WORDS.parse(["a", "b"])
    assert codec.TEXTS.parse(["b", "a"]) == ("b", "a")


def test_lines_are_single():
    with pytest.raises(ValueError, match="single line"):
        codec.LINE.parse("a\nlxc.hook.start = /bin/evil")


@pytest.mark.parametrize(
    ("text", "mac"), [("52:54:00:AB:CD:EF", "52:54:00:ab:cd:ef"), ("52-54-00-ab-cd-ef", "52:54:00:ab:cd:ef")]
)
def test_macs(text, mac):
    assert codec.MAC.parse(text) == mac


@pytest.mark.parametrize(("value", "truth"), [(True, True), ("yes", True), ("off", False), (0, False)])
def test_booleans(value, truth):
    assert codec.BOOL.parse(value) is truth

# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Places in a tree that somebody else controls: whatever its links say, they are in the tree."""

from __future__ import annotations

import os

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.engines import inside


@pytest.fixture
def jail(tmp_path):
    """A tree, and something outside of it that must stay as it is."""
    (tmp_path / "jail" / "etc").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    return tmp_path / "jail"


def place(jail, path, *, directory=True, writable=True):
    with inside.tree(str(jail)) as top:
        own = {inside.mount_id(top)} if writable else set()
        with inside.place(top, path, own, directory=directory) as handle:
            return os.readlink(f"/proc/self/fd/{handle}")


def test_what_is_there_is_found_and_what_is_not_is_not(jail):
    with inside.tree(str(jail)) as top:
        assert inside.real(top, "/etc") == f"{jail}/etc"
        assert inside.real(top, "/../../etc") == f"{jail}/etc"
        assert inside.real(top, "/proc") is None


@pytest.mark.parametrize("target", ["{elsewhere}", "../elsewhere", "../../../../../../..{elsewhere}", "/"])
def test_links_lead_nowhere_else(jail, target):
    elsewhere = jail.parent / "elsewhere"
    (jail / "proc").symlink_to(target.format(elsewhere=elsewhere))
    assert f"{place(jail, '/proc')}/".startswith(f"{jail}/")
    assert f"{place(jail, '/proc/below/it')}/".startswith(f"{jail}/")
    assert f"{place(jail, '/proc/file', directory=False)}/".startswith(f"{jail}/")
    assert list(elsewhere.iterdir()) == []


def test_a_link_that_turns_in_a_circle_is_an_error(jail):
    (jail / "a").symlink_to("b")
    (jail / "b").symlink_to("a")
    with pytest.raises(StrataError, match="could not make /a in the tree: Too many levels"):
        place(jail, "/a")


def test_links_to_what_is_not_there_and_leads_back_are_an_error(jail):
    (jail / "a").symlink_to("/a/b")
    with pytest.raises(StrataError, match="could not make /a in the tree"):
        place(jail, "/a")


def test_a_file_is_made_empty_and_one_that_is_there_is_kept(jail):
    assert place(jail, "/etc/resolv.conf", directory=False) == f"{jail}/etc/resolv.conf"
    assert (jail / "etc" / "resolv.conf").read_bytes() == b""
    (jail / "etc" / "resolv.conf").write_text("theirs")
    place(jail, "/etc/resolv.conf", directory=False)
    assert (jail / "etc" / "resolv.conf").read_text() == "theirs"


def test_a_file_is_made_where_a_link_leads(jail):
    (jail / "etc" / "resolv.conf").symlink_to("../run/resolve/stub.conf")
    assert place(jail, "/etc/resolv.conf", directory=False) == f"{jail}/run/resolve/stub.conf"


def test_a_directory_is_no_file(jail):
    (jail / "etc" / "resolv.conf").mkdir()
    with pytest.raises(StrataError, match=r"/etc/resolv.conf of the tree is a directory"):
        place(jail, "/etc/resolv.conf", directory=False)
    (jail / "proc").write_text("")
    with pytest.raises(StrataError, match="/proc of the tree is no directory"):
        place(jail, "/proc")


def test_nothing_is_made_in_mounts_that_are_not_the_trees(jail):
    with pytest.raises(StrataError, match="/proc isn't there, and what is there of its way is not the tree's own"):
        place(jail, "/proc", writable=False)
    assert not (jail / "proc").exists()


def test_a_place_has_a_name_beside_it(jail):
    with inside.tree(str(jail)) as top, inside.beside(top, "/etc/x") as name:
        assert os.path.realpath(os.path.dirname(name)) == f"{jail}/etc"
        assert os.path.basename(name) == "x"

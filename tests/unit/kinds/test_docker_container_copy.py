# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docker_container_copy, planned against a container that is a table of files."""

from __future__ import annotations

import base64
import io

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.resource import read_one
from ansible_collections.strata.virt.plugins.module_utils.engines import container_files as words
from ansible_collections.strata.virt.plugins.module_utils.engines.container_files import File
from ansible_collections.strata.virt.plugins.module_utils.engines.docker_inside import DockerInside
from ansible_collections.strata.virt.plugins.module_utils.kinds.docker_container_copy import DockerContainerCopy


class Container(DockerInside):
    def __init__(self):
        page = words.content_of(io.BytesIO(b"hello\n"))
        self.files = {"/srv/page": File("file", page, 0o644, 33, 34), "/srv": File("directory", None, 0, 0, 0)}
        self.links = {"/link": "/alias", "/alias": "/srv/page", "/loop": "/loop"}
        self.put_there: list = []

    def look(self, container, path):
        if path in self.links:
            return {"mode": 1 << 27, "linkTarget": self.links[path]}
        return {"mode": 0} if path in self.files else None

    def file(self, container, path):
        return self.files.get(path)

    def put(self, container, path, made_of, source):
        self.put_there.append((path, made_of, source and source.read()))


@pytest.fixture
def container():
    return Container()


def drawn(container, /, **options):
    defaults = {"container": "web", "container_path": "/srv/page", "follow": False, "local_follow": True}
    resource = DockerContainerCopy({**defaults, "content_is_b64": False, **options})
    state = read_one(resource, container)
    return resource, resource.plan(state)


def found(container, /, **options):
    return {one.name: (one.before, one.after) for one in drawn(container, **options)[1].changes}


def test_what_is_not_given_is_left(container):
    assert found(container, content="hello\n", mode="0644") == {}
    assert found(container, content="news\n", mode=0o600) == {
        "bytes": ("hello\n", "news\n"),
        "mode": ("0644", "0600"),
    }
    resource, plan = drawn(container, content="news\n", mode="0644", group_id=0)
    resource.update(container, plan)
    ((path, made, data),) = container.put_there
    assert (path, made.mode, made.owner, made.group, data) == ("/srv/page", 0o644, 33, 0, b"news\n")


def test_a_new_file_is_of_root(container):
    coded = {"content": base64.b64encode(b"\0").decode(), "content_is_b64": True}
    resource, plan = drawn(container, container_path="/srv/new", mode="0600", **coded)
    assert {one.name: one.after for one in plan.changes}["bytes"].startswith("1 bytes, sha256:")
    resource.create(container, plan)
    ((_path, made, data),) = container.put_there
    assert ((made.owner, made.group), data) == ((0, 0), b"\0")


def test_links_are_followed_where_that_is_said(container):
    assert found(container, container_path="/link", content="hello\n", mode="0644", follow=True) == {}
    with pytest.raises(StrataError, match="more links"):
        found(container, container_path="/loop", content="x", mode="0644", follow=True)


def test_a_file_of_the_host(container, tmp_path):
    (tmp_path / "page").write_bytes(b"hello\n")
    (tmp_path / "page").chmod(0o640)
    (tmp_path / "link").symlink_to("page")
    assert found(container, path=str(tmp_path / "link")) == {"mode": ("0644", "0640")}
    assert found(container, path=str(tmp_path / "link"), local_follow=False) == {
        "sort": ("file", "link"),
        "bytes": ("hello\n", "-> page"),
    }
    resource, plan = drawn(container, path=str(tmp_path / "page"), mode="0600")
    (tmp_path / "page").write_bytes(b"other\n")
    with pytest.raises(StrataError, match="changed meanwhile"):
        resource.update(container, plan)


def test_force(container):
    same = {"content": "hello\n", "mode": "0644"}
    resource, plan = drawn(container, **same, force=True)
    assert ([one.name for one in plan.changes], plan.steps) == (["force"], ("update",))
    assert not resource.settled().plan(plan.state)
    assert found(container, content="news", mode="0600", force=False) == {}
    assert found(container, container_path="/srv/new", content="news", mode="0600", force=False)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "path: is needed"),
        ({"path": "/x", "content": "x", "mode": "0644"}, "not both"),
        ({"content": "x"}, "mode: is needed"),
        ({"content": "x", "mode": "0999"}, "mode: is no mode"),
        ({"content": "?", "mode": "0644", "content_is_b64": True}, "content: is no Base64"),
        ({"content": "x", "mode": "0644", "owner_id": -1}, "owner_id: is no number"),
        ({"content": "x", "mode": "0644", "container": "a/b"}, "container: is no name"),
        ({"content": "x", "mode": "0644", "container_path": "/nowhere/x"}, "its folder is not in the container"),
        ({"content": "x", "mode": "0644", "container_path": "/srv"}, "is a folder"),
        ({"path": "/nowhere/at/all"}, "path: can't be read"),
        ({"path": "/"}, "path: is no file"),
    ],
)
def test_bad_input_is_refused(container, options, said):
    with pytest.raises(StrataError, match=said):
        drawn(container, **options)


def test_how_content_is_shown():
    assert str(words.content_of(io.BytesIO("naïve\n".encode()))) == "naïve\n"
    for data in (b"a\0b", b"\xff", b"x" * 70000):
        assert str(words.content_of(io.BytesIO(data))).startswith(f"{len(data)} bytes, sha256:")
    assert words.content_of(io.BytesIO(b"a")) != words.content_of(io.BytesIO(b"b"))

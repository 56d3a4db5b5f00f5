# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Patterns of .dockerignore, held against what Docker's documentation says of them."""

from __future__ import annotations

import pytest

from ansible_collections.strata.virt.plugins.module_utils.engines.docker_build import paths
from ansible_collections.strata.virt.plugins.module_utils.engines.ignored import Ignored


@pytest.mark.parametrize(
    ("patterns", "out", "left"),
    [
        (["# comment", "", "  "], [], ["# comment", "a"]),
        (["*/temp*"], ["somedir/temporary.txt", "somedir/temp", "somedir/temp/x"], ["temp", "a/b/temp"]),
        (["*/*/temp*"], ["some/sub/temporary.txt"], ["some/temp"]),
        (["temp?"], ["tempa", "tempb"], ["temp", "tempab", "a/tempa"]),
        (["**/*.go"], ["a.go", "a/b/c.go"], ["a.gox"]),
        (["a/**"], ["a/b", "a/b/c"], ["a", "b"]),
        (["a/**/z"], ["a/z", "a/b/z", "a/b/c/z"], ["z", "a/b"]),
        (["*.md", "!README.md"], ["a.md"], ["README.md", "a/a.md"]),
        (["*.md", "!README*.md", "README-secret.md"], ["README-secret.md"], ["README.md", "README-a.md"]),
        (["*.md", "README-secret.md", "!README*.md"], ["a.md"], ["README-secret.md"]),
        (["*", "!src/a", "  !out  "], ["src/b", "src", "x"], ["src/a", "src/a/b", "out"]),
        (["/foo/bar", "./baz/", "a//b/../c"], ["foo/bar", "baz", "baz/x", "a/c"], ["foo", "a/b"]),
        (["[a-c]x", "[^a-c]y", "a.c", r"\*"], ["bx", "zy", "a.c", "*"], ["dx", "by", "abc", "z"]),
        (["."], [], ["a"]),
    ],
)
def test_what_a_pattern_leaves_out(patterns, out, left):
    ignored = Ignored(patterns)
    assert ([path for path in out if path not in ignored], [path for path in left if path in ignored]) == ([], [])


def test_what_is_kept_is_kept_whatever_the_patterns_say(tmp_path):
    for path in ("Dockerfile", "build/Dockerfile", "build/other", "deep/er/file", "a"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("")
    (tmp_path / "link").symlink_to("deep")
    whole = ["Dockerfile", "a", "build", "build/Dockerfile", "build/other", "deep", "deep/er", "deep/er/file", "link"]
    assert paths(str(tmp_path), "Dockerfile") == whole
    (tmp_path / ".dockerignore").write_text("**\n!a\n")
    assert paths(str(tmp_path), "build/Dockerfile") == ["a", "build/Dockerfile"]
    (tmp_path / ".dockerignore").write_text("deep\n.dockerignore\n")
    assert paths(str(tmp_path), "Dockerfile") == [path for path in whole if not path.startswith("deep")]
    (tmp_path / ".containerignore").write_text("*\n")
    assert paths(str(tmp_path), "Dockerfile", (".containerignore", ".dockerignore")) == ["Dockerfile"]

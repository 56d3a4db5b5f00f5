# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""roles/podman/files/look.py: what it would write, and what it refuses."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

LOOK = Path(__file__).resolve().parents[3] / "roles" / "podman" / "files" / "look.py"
spec = importlib.util.spec_from_file_location("podman_look", LOOK)
podman_look = importlib.util.module_from_spec(spec)
spec.loader.exec_module(podman_look)


@pytest.fixture
def look(tmp_path, monkeypatch):
    monkeypatch.setattr(podman_look, "complaint", lambda files: "")
    monkeypatch.setattr(podman_look, "GRAPHROOT", str(tmp_path / "graph"))
    paths = {name: str(tmp_path / name) for name in ("storage", "containers", "registries", "policy")}

    def asked(**more):
        nothing = {"storage": {}, "containers": {}, "registries": {}, "policy": {}, "hide": False}
        seen = podman_look.look({"files": paths, **nothing, **more})
        return {**seen, "files": {Path(file["path"]).name: file["content"] for file in seen["files"]}}

    return asked


def test_where_nothing_is_declared_nothing_is_written(look, tmp_path):
    assert look() == {"refused": [], "folders": [], "files": {}, "commands": []}
    (tmp_path / "storage").write_text("[storage]\n")
    (tmp_path / "policy").write_text('{"default": []}')
    assert look()["files"] == {}


def test_what_is_written_is_found_written(look, tmp_path):
    wanted = {
        "storage": {"storage": {"driver": "overlay", "options": {"overlay": {"mountopt": "nodev"}}}},
        "containers": {"containers": {"pids_limit": 512, "dns_servers": ["192.0.2.53"]}, "engine": {"runtime": "crun"}},
        "registries": {
            "unqualified-search-registries": ["registry.example.com"],
            "registry": [
                {"prefix": "docker.io", "location": "docker.io", "mirrors": [{"location": "m", "insecure": True}]}
            ],
        },
        "policy": {"default": [{"type": "reject"}]},
    }
    written = look(**wanted)["files"]
    assert sorted(written) == ["containers", "policy", "registries", "storage"]
    for name, content in written.items():
        (tmp_path / name).write_text(content)
    assert look(**wanted)["files"] == {}
    assert written["registries"] == (
        podman_look.HEADER + 'unqualified-search-registries = ["registry.example.com"]\n'
        '\n[[registry]]\nprefix = "docker.io"\nlocation = "docker.io"\n'
        '\n[[registry.mirror]]\nlocation = "m"\ninsecure = true\n'
    )
    assert written["containers"].endswith(
        '\n[containers]\npids_limit = 512\ndns_servers = ["192.0.2.53"]\n\n[engine]\nruntime = "crun"\n'
    )


THEIRS = """\
# theirs
[storage]
driver = "overlay"  # ours before
runroot = "/run/x"

[storage.options]
additionalimagestores = [
  "/srv/images",
]

[storage.options.overlay]
# mountopt = "nodev"
ignore_chown_errors = "true"
"""


def test_a_file_of_somebody_else_changes_in_those_words_alone():
    tree = {"storage": {"driver": "vfs", "graphroot": "/g", "options": {"overlay": {"mountopt": "nodev,metacopy=on"}}}}
    new = podman_look.patched(THEIRS, tree)
    assert new == (
        THEIRS.replace('driver = "overlay"  # ours before\n', 'driver = "vfs"\n')
        .replace("[storage]\n", '[storage]\ngraphroot = "/g"\n')
        .replace("overlay]\n", 'overlay]\nmountopt = "nodev,metacopy=on"\n')
    )
    assert podman_look.patched(new, tree) == new
    assert podman_look.patched("[a]\nb = 1", {"a": {"b": 2}, "c": {"d": True}}) == "[a]\nb = 2\n\n[c]\nd = true\n"
    with pytest.raises(ValueError, match="additionalimagestores spans several lines"):
        podman_look.patched(THEIRS, {"storage": {"options": {"additionalimagestores": []}}})


def test_what_would_be_hidden_is_named(look, tmp_path):
    images = tmp_path / "graph" / "overlay-images"
    images.mkdir(parents=True)
    (images / "images.json").write_text(json.dumps([{}, {}]))
    (tmp_path / "graph" / "volumes" / "one").mkdir(parents=True)
    (told,) = look(storage={"storage": {"driver": "vfs"}})["refused"]
    assert told.startswith("storage driver: Podman would not see 2 images of overlay in ")
    (told,) = look(storage={"storage": {"driver": "overlay", "graphroot": "/srv/g"}})["refused"]
    assert "graphroot: Podman would not see 2 images of overlay, 1 volumes" in told
    assert look(storage={"storage": {"driver": "overlay", "graphroot": "/srv/g"}}, hide=True)["refused"] == []
    (told,) = look(storage={"storage": {"runroot": "/run/x"}})["refused"]
    assert "would name no driver" in told
    assert look(storage={"storage": {"driver": "overlay"}})["refused"] == []

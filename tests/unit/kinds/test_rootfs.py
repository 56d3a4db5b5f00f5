# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""rootfs, with mmdebstrap and mke2fs replaced by something that takes no time."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import tarfile
import threading

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core import command, progress
from ansible_collections.strata.virt.plugins.module_utils.core.converge import carry_out, verify
from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.plan import ABSENT
from ansible_collections.strata.virt.plugins.module_utils.core.resource import read_one
from ansible_collections.strata.virt.plugins.module_utils.engines import bootstrap, trees
from ansible_collections.strata.virt.plugins.module_utils.kinds.rootfs import Rootfs


class Builder:
    """Stands for mmdebstrap, mke2fs and unshare: notes what it was asked for, and makes something small."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, rootless: bool = False) -> None:
        self.calls: list[list[str]] = []
        self.laid: dict[str, tarfile.TarInfo] = {}
        self.error: StrataError | None = None
        monkeypatch.setattr(bootstrap, "rootless", lambda: rootless)
        monkeypatch.setattr(command, "need", lambda program, package: program)
        monkeypatch.setattr(progress, "run", self.mmdebstrap)
        monkeypatch.setattr(bootstrap.command, "run", self.program)

    def mmdebstrap(self, argv, tell, *, env=None, handles=()):
        self.calls.append(list(argv))
        assert handles, "it doesn't hold the place on when the module is killed"
        for word in argv:
            if word.startswith("--essential-hook=tar-in "):
                with tarfile.open(shlex.split(word)[1]) as archive:
                    self.laid = {entry.name: entry for entry in archive}
            if word.startswith("--customize-hook=download "):
                with open(shlex.split(word)[2], "w") as file:
                    file.write("kernel")
        path = next(argv[place + 1] for place, word in enumerate(argv) if word == "trixie")
        if "--format=directory" in argv:
            os.makedirs(f"{path}/etc")
        else:
            with open(path, "w") as file:
                file.write("tar")
        if self.error:
            raise self.error

    def program(self, argv, **_options):
        self.calls.append(list(argv))

    def argv(self, program: str) -> list[str]:
        return next(call for call in self.calls if call[0] == program)


@pytest.fixture
def builder(monkeypatch):
    return Builder(monkeypatch)


def spec(path, **more) -> dict:
    return {"path": str(path), "suite": "trixie", **more}


def apply(options: dict) -> bool:
    resource = Rootfs(options)
    plan = resource.plan(read_one(resource, None))
    carry_out(resource, None, plan)
    verify(resource, None, read_one(resource, None))
    return bool(plan)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "made" / "tree"


@pytest.mark.parametrize("more", [{}, {"format": "tar"}, {"format": "ext4", "size": "1G"}])
def test_made_once(builder, path, more):
    assert apply(spec(path, **more))
    assert path.exists()
    assert not apply(spec(path, **more))
    assert sorted(os.listdir(path.parent)) == ["tree", "tree.strata.json"]


def test_a_changed_declaration_makes_it_anew(builder, path):
    apply(spec(path, packages=["a"]))
    (path / "mine").touch()
    assert apply(spec(path, packages=["b", "a"]))
    assert not (path / "mine").exists()
    assert "--include=a,b" in builder.calls[-1]
    assert not apply(spec(path, packages=["a", "b"]))


def test_what_is_not_given_stays_as_it_was(builder, path):
    apply(spec(path, packages=["a"]))
    assert not apply(spec(path))
    assert apply(spec(path, variant="apt"))
    assert "--include=a" in builder.calls[-1]


def test_recreation_can_be_forbidden(builder, path):
    apply(spec(path, packages=["a"]))
    resource = Rootfs(spec(path, packages=["b"], recreate="never"))
    plan = resource.plan(read_one(resource, None))
    assert not plan
    assert plan.restart_required == ["packages"]


@pytest.mark.parametrize("options", [{"packages": ["a"]}, {"state": "absent"}])
def test_what_somebody_else_made_is_left_alone(builder, path, options):
    path.mkdir(parents=True)
    with pytest.raises(StrataError, match="wasn't made by this collection"):
        apply({"path": str(path), "suite": "trixie", **options})
    assert path.exists()


def test_absent_takes_all_of_it_away(builder, path):
    apply(spec(path))
    assert apply({"path": str(path), "state": "absent"})
    assert os.listdir(path.parent) == []
    assert not apply({"path": str(path), "state": "absent"})


def test_a_changed_overlay_makes_it_anew(builder, path, tmp_path):
    overlay = tmp_path / "overlay"
    (overlay / "etc").mkdir(parents=True)
    (overlay / "etc/motd").write_text("hello")
    apply(spec(path, overlay=str(overlay)))
    assert not apply(spec(path, overlay=str(overlay)))
    (overlay / "etc/motd").write_text("hello!")
    assert apply(spec(path, overlay=str(overlay)))


def test_files_of_an_overlay_become_roots(builder, path, tmp_path):
    overlay = tmp_path / "overlay"
    (overlay / "root").mkdir(parents=True)
    (overlay / "root/script").touch()
    (overlay / "root/script").chmod(0o775)
    (overlay / "link").symlink_to("root")
    apply(spec(path, overlay=str(overlay)))
    assert builder.laid.keys() == {"root/script", "link"}, "directories would change those that are there"
    script = builder.laid["root/script"]
    assert (script.uid, script.gid, script.mode) == (0, 0, 0o755)
    assert builder.laid["link"].issym()


def test_what_was_extracted_and_went_is_made_again(builder, path, tmp_path):
    options = spec(path, format="ext4", size="1G", extract={str(tmp_path / "vmlinuz"): "/vmlinuz"})
    apply(options)
    (tmp_path / "vmlinuz").unlink()
    assert apply(options)
    assert (tmp_path / "vmlinuz").exists()


def test_a_disk_of_another_size_is_made_again(builder, path):
    apply(spec(path, format="ext4", size="1G"))
    os.truncate(path, 512)
    assert apply(spec(path, format="ext4", size="1G"))
    assert path.stat().st_size == 1024**3


def test_words_reach_the_shell_of_hooks_quoted(builder, path, tmp_path):
    target = f"{tmp_path}/a b"
    apply(spec(path, run=[["sh", "-c", "echo $HOME; id"]], extract={target: "/c"}))
    words = builder.calls[0]
    assert "--customize-hook=chroot \"$1\" sh -c 'echo $HOME; id'" in words
    assert f"--customize-hook=download /c '{target}'" in words


def test_without_root_the_disk_is_made_in_a_user_namespace(monkeypatch, path):
    builder = Builder(monkeypatch, rootless=True)
    apply(spec(path, format="ext4", size="1G"))
    made = builder.argv("mmdebstrap")
    assert {"--mode=unshare", "--format=tar"} <= set(made)
    mapped = builder.argv("unshare")
    assert mapped[1:4] == ["--map-root-user", "--map-auto", "--fork"]
    assert mapped[mapped.index("mke2fs") :][-1] == f"{path}.strata-next"


def test_nothing_is_left_of_a_failure(builder, path):
    builder.error = StrataError("no such suite")
    with pytest.raises(StrataError, match="no such suite"):
        apply(spec(path))
    assert os.listdir(path.parent) == []


def test_a_killed_run_is_finished_by_the_next(builder, path):
    (path.parent / "tree.strata-next").mkdir(parents=True)
    (path.parent / "tree.strata-next.overlay.tar").touch()
    (path.parent / "tree.strata.json").write_text(json.dumps({"owner": "", "options": {"suite": "trixie"}}))
    assert apply(spec(path))
    assert sorted(os.listdir(path.parent)) == ["tree", "tree.strata.json"]


def test_who_comes_second_waits_for_the_first(builder, path):
    path.parent.mkdir()
    second = Rootfs(spec(path))
    plan = second.plan(ABSENT)
    with trees.held(str(path)):
        waiting = threading.Thread(target=carry_out, args=(second, None, plan))
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive()
        path.mkdir()  # the first has finished
    waiting.join()
    assert builder.calls == []
    assert os.listdir(path.parent) == ["tree"]


def test_a_tree_in_use_is_not_removed(path, monkeypatch):
    path.mkdir(parents=True)
    monkeypatch.setattr(trees, "_mounts_below", lambda top: [f"{top}/proc"])
    with pytest.raises(StrataError, match="/proc mounted in it"):
        trees.remove(str(path))
    assert path.exists()


def test_trees_change_places_in_one_step(tmp_path):
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    trees.swap(str(tmp_path / "new"), str(tmp_path / "old"))
    assert os.listdir(tmp_path / "old") == ["new"]
    shutil.rmtree(tmp_path / "old")
    trees.swap(str(tmp_path / "new"), str(tmp_path / "old"))
    assert os.listdir(tmp_path / "old") == ["old"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"suite": None}, "suite: must be given"),
        ({"format": "ext4"}, "size: goes with format: ext4"),
        ({"size": "1G"}, "size: goes with format: ext4"),
        ({"path": "relative"}, "must be an absolute path"),
        ({"run": [["a"], []]}, "run: is a list of programs"),
        ({"run": ["sh -c a"]}, "run: is a list of programs"),
        ({"extract": {"here": "/vmlinuz"}}, "extract: must be an absolute path"),
    ],
)
def test_bad_options_are_named(path, options, words):
    with pytest.raises(StrataError) as refused:
        Rootfs({**spec(path), **options})
    assert words in str(refused.value)


def test_an_overlay_that_is_not_there_is_named(path):
    with pytest.raises(StrataError, match="overlay: is no directory"):
        apply(spec(path, overlay="/nonexistent"))

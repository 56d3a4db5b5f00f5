# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host as it was recorded: files, what programs printed, what daemons answered, and whose places are."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core.diagnosis import diagnose
from ansible_collections.strata.virt.plugins.module_utils.engines.hostfiles import Answer, Host


class Recorded(Host):
    """Nothing is asked of the host that the tests run on.

    Attributes:
        sayings: What programs print, by the whole of their command line; those that it names are installed.
        answers: What daemons answer, by socket and URL.
        owners: Mode, user and group by path; root's otherwise.
        lists: POSIX lists by path, in the kernel's form.
        device: What each device answers.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(str(root))
        self.sayings: dict[str, str] = {}
        self.answers: dict[tuple[str, str | None], Answer] = {}
        self.owners: dict[str, tuple[int, int, int]] = {}
        self.lists: dict[str, bytes] = {}
        self.device = Answer({}, "No such file or directory")

    def write(self, path: str, content: object = "") -> None:
        place = Path(self.root + path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        if isinstance(content, Path):
            place.symlink_to(content)
        elif isinstance(content, bytes):
            place.write_bytes(content)
        else:
            place.write_text(str(content))

    def remove(self, path: str) -> None:
        Path(self.root + path).unlink()

    def said(self, program, *arguments):
        return self.sayings.get(" ".join((program, *arguments)), "")

    def program(self, *names):
        known = {words.split()[0] for words in self.sayings}
        return next((f"/usr/bin/{name}" for name in names if name in known), None)

    def get(self, path, url):
        return self.answers.get((path, url), Answer({}, "No such file or directory"))

    def ask_device(self, path, request):
        return self.device

    def status(self, path):
        found = super().status(path)
        if found is None:
            return None
        default = (0o755 if stat.S_ISDIR(found.st_mode) else 0o644, 0, 0)
        mode, uid, gid = self.owners.get(os.path.normpath(path), default)
        return os.stat_result((stat.S_IFMT(found.st_mode) | mode, 1, 1, 1, uid, gid, 0, 0, 0, 0))

    def raw_attribute(self, path, name):
        return self.lists.get(path, b"")


@pytest.fixture
def host(tmp_path) -> Recorded:
    return Recorded(tmp_path)


@pytest.fixture
def told():
    """Holds a host against the checks of a topic; findings by the name of their check."""

    def ask(topic, recorded: Recorded, **options) -> dict:
        facts = topic.read(recorded, {"root": True, "now": 1_764_000_000, "since": 1_763_996_400, **options})
        result = diagnose(topic.checks, facts)
        json.dumps([facts, result])
        by_name: dict[str, list[dict]] = {}
        for finding in result["findings"]:
            assert all(finding.values()), finding
            assert not [text for text in finding.values() if "None" in text or "{" in text], finding
            by_name.setdefault(finding["check"], []).append(finding)
        assert set(by_name) | set(result["passed"]) | set(result["unchecked"]) == {check.name for check in topic.checks}
        return {**result, "by_name": by_name}

    return ask

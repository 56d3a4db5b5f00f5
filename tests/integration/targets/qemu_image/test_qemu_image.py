# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""qemu_image, looked at through qemu-img info."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.lab.convergence import Case, Convergence
from tests.lab.driver import Failed, call, run

TOP = Path("/srv/strata-test-image")
MIB = 1024**2


def look(name: str) -> dict | None:
    if not os.path.lexists(name):
        return None
    told = json.loads(run("qemu-img", "info", "--output=json", name))
    words = {"format": "format", "virtual-size": "size", "full-backing-filename": "backing"}
    return {word: told.get(key) for key, word in words.items()}


@pytest.fixture(scope="module", autouse=True)
def folder():
    TOP.mkdir()
    (TOP / "base.raw").write_bytes(b"base" * MIB)
    yield
    shutil.rmtree(TOP)


class TestQemuImage(Convergence):
    case = Case(
        kind="qemu_image",
        info="qemu_image_info",
        identity="path",
        name=str(TOP / "disk.qcow2"),
        a={"size": "8M"},
        b={"size": "16M"},
        look=look,
        seen_a={"format": "qcow2", "size": 8 * MIB, "backing": None},
        seen_b={"format": "qcow2", "size": 16 * MIB, "backing": None},
        drifts={
            "gone": os.unlink,
            "smaller": lambda name: run("qemu-img", "resize", "-q", "--shrink", name, "4M"),
        },
        touches=("engines.qcow2.create", "engines.qcow2.resize", "core.files.set_owner", "core.files.remove"),
        bad=(
            ("size", "12X"),
            ("format", "iso"),
            ("backing", {"path": "/nowhere", "format": "raw"}),
            ("convert_from", "/nowhere"),
        ),
        bad_names=("", "a/b", "/srv/../x"),
    )

    @property
    def path(self) -> Path:
        return Path(self.case.name)

    def test_on_another(self):
        on_base = {"backing": {"path": str(TOP / "base.raw"), "format": "raw"}}
        assert self.foretold(on_base)["changed"]
        self.sees({"backing": str(TOP / "base.raw"), "size": 4 * MIB})
        self.unchanged(on_base)
        run("qemu-img", "convert", "-O", "raw", self.case.name, str(TOP / "raw"))
        assert (TOP / "raw").read_bytes() == (TOP / "base.raw").read_bytes()
        with pytest.raises(Failed, match="exists with another backing"):
            self.apply({"backing": {"path": str(TOP / "base.raw"), "format": "qcow2"}})
        self.apply({"state": "absent"})
        assert (TOP / "base.raw").exists()

    def test_a_copy_that_grows(self):
        copy = {"convert_from": str(TOP / "base.raw"), "size": "8M"}
        assert self.foretold(copy)["changed"]
        self.sees(self.case.seen_a)
        run("qemu-img", "convert", "-O", "raw", self.case.name, str(TOP / "raw"))
        assert (TOP / "raw").read_bytes()[: 4 * MIB] == (TOP / "base.raw").read_bytes()
        self.unchanged(copy)

    @pytest.mark.parametrize(
        ("spec", "words"), [({"size": "4M"}, "shrinking it would cut off data"), ({"format": "raw"}, "another format")]
    )
    def test_data_is_never_lost(self, spec, words):
        self.apply(self.case.a)
        with pytest.raises(Failed, match=words):
            self.apply(spec)
        self.sees(self.case.seen_a)

    def test_who_uses_it_keeps_it(self):
        self.apply(self.case.a)
        socket = TOP / "nbd.sock"
        process = subprocess.Popen(["qemu-nbd", f"--socket={socket}", self.case.name])
        try:
            end = time.monotonic() + 30
            while not socket.exists():
                assert time.monotonic() < end, "qemu-nbd doesn't come up"
                time.sleep(0.1)
            with pytest.raises(Failed, match=f"in use by process {process.pid} .qemu-nbd"):
                self.apply({"state": "absent"})
            with pytest.raises(Failed, match="lock"):
                self.apply(self.case.b)
            assert call("qemu_image", {"path": self.case.name, **self.case.a})["changed"] is False
        finally:
            process.kill()
            process.wait()
        self.sees(self.case.seen_a)

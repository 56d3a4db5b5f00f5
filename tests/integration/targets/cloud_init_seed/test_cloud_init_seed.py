# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""cloud_init_seed, looked at through another program's reader of ISO 9660, blkid, and the kernel's own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.lab.convergence import Case, Convergence
from tests.lab.driver import Failed, run

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExample admin@example.com"


def inside(path: str, file: str) -> bytes:
    return subprocess.run(["isoinfo", "-J", "-x", f"/{file}", "-i", path], capture_output=True, check=True).stdout


def look(path: str) -> dict | None:
    if not Path(path).exists():
        return None
    user = inside(path, "user-data").decode()
    return {
        "Label": run("blkid", "--probe", "--output", "value", "--match-tag", "LABEL", path),
        "Head": user.splitlines()[0] if user else "",
        "User": json.loads(user.partition("\n")[2]) if user.startswith("#cloud-config\n{") else user,
        "Network": inside(path, "network-config").decode(),
        "Mode": f"{Path(path).stat().st_mode & 0o777:04o}",
    }


def by_hand(path: str) -> None:
    folder = Path(f"{path}.d")
    folder.mkdir()
    for name in ("user-data", "meta-data"):
        (folder / name).write_text("#cloud-config\n{}\n")
    run("genisoimage", "-quiet", "-output", path, "-volid", "cidata", "-joliet", "-rock", str(folder))
    subprocess.run(["rm", "-r", str(folder)], check=True)


class TestCloudInitSeed(Convergence):
    case = Case(
        kind="cloud_init_seed",
        info="cloud_init_seed_info",
        identity="path",
        name="/var/tmp/strata-seed.iso",
        another=lambda name, mark: name.replace(".iso", f"{mark}.iso"),
        a={
            "user_data": {"hostname": "one", "ssh_authorized_keys": [KEY]},
            "network_config": {"version": 2, "ethernets": {}},
        },
        b={"user_data": "#!/bin/sh\necho two\n", "mode": "0640", "instance_id": "two"},
        look=look,
        seen_a={
            "Label": "cidata",
            "Head": "#cloud-config",
            "User": {"hostname": "one", "ssh_authorized_keys": [KEY], "ssh_pwauth": False},
            "Network": '{\n "ethernets": {},\n "version": 2\n}\n',
            "Mode": "0600",
        },
        seen_b={"Label": "cidata", "User": "#!/bin/sh\necho two\n", "Network": "", "Mode": "0640"},
        drifts={
            "gone": lambda path: Path(path).unlink(),
            "made by another program": by_hand,
            "for everybody's eyes": lambda path: Path(path).chmod(0o644),
        },
        touches=("core.files.write",),
        bad=(("user_data", "hostname: x"), ("network_config", {}), ("mode", "rw"), ("nonsense", "1")),
        bad_names=("", "seed.iso", "../seed.iso"),
    )

    def test_what_is_something_else_is_never_written_over(self):
        Path(self.case.name).write_bytes(b"precious")
        try:
            for spec in (self.case.a, {"state": "absent"}):
                with pytest.raises(Failed, match="is something else than a seed"):
                    self.apply(spec)
            assert Path(self.case.name).read_bytes() == b"precious"
        finally:
            Path(self.case.name).unlink()

    @pytest.mark.machine  # the kernel of a machine of its own reads it
    @pytest.mark.parametrize("options", ["ro", "ro,nojoliet"])
    def test_the_kernel_reads_it_with_joliet_and_without(self, options, tmp_path):
        self.apply(self.case.a)
        run("mount", "-t", "iso9660", "-o", f"loop,{options}", self.case.name, str(tmp_path))
        try:
            names = sorted(file.name for file in tmp_path.iterdir())
            assert names == ["meta-data", "network-config", "user-data"]
            assert (tmp_path / "user-data").read_bytes() == inside(self.case.name, "user-data")
        finally:
            run("umount", str(tmp_path))

# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What containers of a plain user are made from, who is not logged in: declared by root, and by that user."""

from __future__ import annotations

import pwd
import shutil
from pathlib import Path

from tests.lab import podman_api
from tests.lab.accounts import account
from tests.lab.driver import call_as, run

USER = "strata-builds"
CONTEXT = Path("/var/tmp/strata-builds-context")
TWO = ["linux/amd64", "linux/arm64"]
KINDS = {
    "podman_image": [
        {"name": "strata-one:1", "build": {"path": str(CONTEXT)}},
        {"name": "strata-list:1", "build": {"path": str(CONTEXT), "platform": TWO}},
    ],
    "podman_network": [{"name": "strata-net", "driver": "bridge", "internal": True}],
    "podman_volume": [{"name": "strata-data", "labels": {"tier": "back"}}],
    "podman_secret": [{"name": "strata-token", "data": "correct horse"}],
}


def stack(user: str, *, gone: bool = False, check: bool = False, **more: str) -> dict:
    entries = [{kind: {**spec, **more}} for kind, specs in KINDS.items() for spec in specs]
    spec = {"name": "strata-builds", "resources": [] if gone else entries, "prune": True}
    return call_as(user, "stack", spec, check=check)


def seen(at: str) -> dict:
    """What a user's Podman has of it: images and whether they are lists, and the names of the rest."""
    images = podman_api.ask("/images/json", at=at)
    return {
        "images": {
            name: one["IsManifestList"] for one in images for name in one["RepoTags"] or () if "strata-" in name
        },
        "others": sorted(
            one.get("name") or one.get("Name") or one["Spec"]["Name"]
            for sort in ("networks", "volumes", "secrets")
            for one in podman_api.ask(f"/{sort}/json", at=at)
            if "strata-" in str(one)
        ),
    }


NOTHING = {"images": {}, "others": []}


def test_images_lists_networks_volumes_and_secrets():
    CONTEXT.mkdir(exist_ok=True)
    (CONTEXT / "said").write_text("hello\n")
    (CONTEXT / "Dockerfile").write_text("FROM scratch\nCOPY said /said\n")
    try:
        with account(USER) as uid:
            run("systemctl", "start", f"user@{uid}.service")
            with podman_api.service(USER) as at, podman_api.service() as roots:
                before = seen(roots)
                foretold = stack("root", check=True, user_scope=USER)
                assert seen(at) == NOTHING
                done = stack("root", user_scope=USER)
                assert foretold["resources"] == done["resources"]
                assert all(one["changed"] for one in done["resources"])
                made = seen(at)
                assert made["images"] == {"localhost/strata-one:1": False, "localhost/strata-list:1": True}
                assert made["others"] == ["strata-data", "strata-net", "strata-token"]
                assert seen(roots) == before, "they are root's"
                assert not stack("root", user_scope=USER)["changed"]
                volume = Path(podman_api.ask("/volumes/strata-data/json", at=at)["Mountpoint"])
                assert volume.is_relative_to(pwd.getpwuid(uid).pw_dir)
                again = call_as(USER, "podman_image", KINDS["podman_image"][1])
                assert again["changed"] is False, "by that user, it is the same"
                assert stack("root", gone=True)["changed"]
                assert seen(at) == {**NOTHING, "others": ["strata-data"]}, "data only goes when it is said"
                gone = {"name": "strata-data", "user_scope": USER, "state": "absent"}
                assert call_as("root", "podman_volume", gone)["changed"]
                assert seen(at) == NOTHING
    finally:
        shutil.rmtree(CONTEXT)


def test_while_logind_sees_them_off():
    with account(USER) as uid:
        run("loginctl", "enable-linger", USER)
        run("systemctl", "start", f"user@{uid}.service")
        run("loginctl", "disable-linger", USER)
        run("systemctl", "stop", f"user@{uid}.service")
        assert "STOPPING=yes" in Path(f"/run/systemd/users/{uid}").read_text()
        spec = {"name": "strata-data", "user_scope": USER}
        assert call_as("root", "podman_volume", spec)["changed"]
        assert call_as("root", "podman_volume", spec)["changed"] is False

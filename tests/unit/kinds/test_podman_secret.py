# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""podman_secret, read and planned from documents as Podman (5.4) says them."""

from __future__ import annotations

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.resource import read_one
from ansible_collections.strata.virt.plugins.module_utils.kinds.podman_secret import PodmanSecret

DOCUMENT = {
    "ID": "6a3f2b1c",
    "CreatedAt": "2026-01-02T03:04:05Z",
    "UpdatedAt": "2026-01-02T03:04:05Z",
    "Spec": {
        "Name": "token",
        "Driver": {"Name": "file", "Options": {"path": "/var/lib/containers/storage/secrets/filedriver"}},
        "Labels": {"strata.owner": "site", "tier": "back"},
    },
    "SecretData": "s3cr3t",
}


class Service:
    def __init__(self, *documents: dict) -> None:
        self.kept = {one["Spec"]["Name"]: one for one in documents}
        self.calls: list = []

    def secrets(self):
        return [{**one, "SecretData": None} for one in self.kept.values()]

    def secret(self, name):
        return self.kept.get(name)

    def keep_secret(self, *what):
        self.calls.append(what)


def declared(**options) -> PodmanSecret:
    return PodmanSecret({"name": "token", **options})


def plan(service, resource):
    return resource.plan(read_one(resource, service))


def test_unchanged_is_what_is_kept_whoever_gives_it(tmp_path):
    (tmp_path / "token").write_text("s3cr3t")
    for options in ({}, {"data": "s3cr3t"}, {"path": str(tmp_path / "token")}, {"labels": {"tier": "back"}}):
        assert not plan(Service(DOCUMENT), declared(**options))


def test_another_content_is_kept_in_its_place_and_never_shown():
    service = Service(DOCUMENT)
    done = plan(service, declared(data="an0ther", labels={"tier": None, "team": "a"}))
    assert "an0ther" not in str([change.as_result() for change in done.changes])
    assert "s3cr3t" not in str(done.diff("x"))
    assert [(change.name, change.effect.value) for change in done.changes] == [
        ("data", "live"),
        ("labels[team]", "live"),
        ("labels[tier]", "live"),
    ]
    declared(data="an0ther").update(service, done)
    (kept,) = service.calls
    assert kept[:3] == ("token", "an0ther", "file")
    assert kept[4] == {"strata.owner": "site", "team": "a"}


def test_labels_alone_keep_the_content():
    service = Service(DOCUMENT)
    resource = declared(labels={"tier": "front"})
    resource.update(service, plan(service, resource))
    assert service.calls[0][1] == "s3cr3t"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "data: is needed for a new secret"),
        ({"data": ""}, "data: is of 0 bytes"),
        ({"data": "x" * 512_000}, "data: is of 512000 bytes"),
        ({"data": "x", "path": "/srv/x"}, "path: can't go with data"),
        ({"path": "/srv/not/there"}, "path: can't be read: No such file"),
    ],
)
def test_what_can_not_be_kept_is_refused_without_being_shown(options, said):
    with pytest.raises(StrataError, match=said) as error:
        plan(Service(), declared(**options))
    assert "xx" not in str(error.value)


def test_what_is_no_text_is_refused(tmp_path):
    (tmp_path / "key").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(StrataError, match=r"path: is no text.*base64"):
        plan(Service(), declared(path=str(tmp_path / "key")))

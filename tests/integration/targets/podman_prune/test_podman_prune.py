# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""podman_prune, looked at through Podman's own API. What it is let at has a label of the test's own."""

from __future__ import annotations

import json
import re
import urllib.parse

import pytest

from tests.lab import podman_api
from tests.lab.accounts import account
from tests.lab.docker_containers import tree
from tests.lab.driver import Failed, call, call_as, run

LABEL = "strata-test-prune"
SORTS = ("pods", "containers", "networks", "volumes", "images")
USER = "strata-prunes"
ANONYMOUS = re.compile("[0-9a-f]{64}")
FROM = "localhost/strata-prune-base:1"


@pytest.fixture(scope="module", autouse=True)
def _service():
    with podman_api.service():
        podman_api.make_image(FROM, tree(), [])
        yield
        podman_api.ask(f"/images/{FROM}", "DELETE")


def names(one: dict) -> list[str]:
    found = one.get("Name") or one.get("name") or one.get("Names") or one["Id"]
    return [found] if isinstance(found, str) else found


def listed(filters: dict) -> dict[str, list[str]]:
    """What Podman has of each sort. Containers that it put into pods itself are called as it likes."""
    said = urllib.parse.quote(json.dumps(filters))
    answers = {sort: podman_api.ask(f"/{sort}/json?all={sort == 'containers'}&filters={said}") or () for sort in SORTS}
    return {
        sort: sorted(name for one in found if not one.get("IsInfra") for name in names(one))
        for sort, found in answers.items()
    }


def ours() -> dict[str, list[str]]:
    return listed({"label": [LABEL]})


def asked(**filters) -> dict:
    spec: dict = {}
    for sort in SORTS:
        spec |= {sort: True, f"{sort}_filters": {"label": LABEL, **filters.get(sort, {})}}
    return spec


@pytest.fixture
def yard():
    """Containers that never ran, in a pod, and alone with a label and without; each with what it needs."""
    before = set(listed({})["volumes"])
    for name in ("held", "ended", "podded", "lonely"):
        podman_api.ask("/networks/create", "POST", name=f"strata-{name}", labels={LABEL: ""})
        podman_api.ask("/volumes/create", "POST", Name=f"strata-{name}", Label={LABEL: ""})
    podman_api.make_image("localhost/strata-prune:1", tree(), [f"LABEL {LABEL}=1"])
    podman_api.make_image("localhost/strata-prune:2", tree(), [f"LABEL {LABEL}=2"])
    podman_api.ask("/images/localhost/strata-prune:2/untag", "POST")
    run("podman", "pod", "create", "--name", "strata-podded", "--label", LABEL, "--network", "strata-podded")
    places = {
        "held": ("--network", "strata-held"),
        "ended": ("--network", "strata-ended", "--label", LABEL, "--volume", "/anonymous"),
        "podded": ("--pod", "strata-podded", "--label", LABEL),
    }
    for name, place in places.items():
        mount = ("--volume", f"strata-{name}:/data")
        run("podman", "create", "--name", f"strata-{name}", *place, *mount, FROM, "/bin/busybox", "true")
    yield listed({})
    for sort in SORTS:
        for name in [*ours()[sort], *(["strata-held"] if sort == "containers" else [])]:
            podman_api.ask(f"/{sort}/{name}{'?force=true' if sort in SORTS[:2] else ''}", "DELETE")
    for name in set(listed({})["volumes"]) - before:  # without a name, and so without a label
        podman_api.ask(f"/volumes/{name}", "DELETE")


def test_what_is_told_goes_and_nothing_else(yard):
    mild = {"volumes": {"all": False}, "images": {"dangling": True}}
    foretold = call("podman_prune", asked(**mild), check=True)
    assert listed({}) == yard
    done = call("podman_prune", asked(**mild))
    for key in ("changed", "changes", "diff", *SORTS):
        assert foretold[key] == done[key]
    assert done["images_space_reclaimed"] > 0
    assert ours() == {
        "pods": [],
        "containers": [],
        "networks": ["strata-held"],
        "volumes": [f"strata-{name}" for name in ("ended", "held", "lonely", "podded")],
        "images": ["localhost/strata-prune:1"],
    }
    assert podman_api.container("strata-held") is not None
    assert call("podman_prune", asked(**mild))["changed"] is False
    # Nobody can label what has no name.
    unnamed = call("podman_prune", {"volumes": True})["volumes"]
    assert unnamed
    assert all(map(ANONYMOUS.fullmatch, unnamed))
    assert not set(unnamed) & set(listed({})["volumes"])

    whole = call("podman_prune", asked(volumes={"all": True}, images={"dangling": False}))
    assert {one["field"] for one in whole["changes"]} == {"unused_volumes", "unused_images"}
    assert ours() == {
        "pods": [],
        "containers": [],
        "networks": ["strata-held"],
        "volumes": ["strata-held"],
        "images": [],
    }


def test_what_is_used_stays(yard):
    spec: dict = dict.fromkeys(("networks", "volumes", "images", "containers"), True)
    spec |= {f"{sort}_filters": {"label": LABEL} for sort in spec}
    call("podman_prune", {**spec, "containers": False})
    assert ours()["networks"] == ["strata-ended", "strata-held", "strata-podded"]
    call("podman_prune", spec)
    left = ours()
    assert (left["pods"], left["containers"]) == (["strata-podded"], ["strata-podded"])
    assert left["networks"] == ["strata-held", "strata-podded"]


def test_what_is_in_a_list_of_images_stays_as_long_as_that_has_a_name(tmp_path):
    """Podman's own prune would take the images away, and leave a list of nothing (5.4)."""
    (tmp_path / "Containerfile").write_text("FROM scratch\nCOPY Containerfile /\n")
    options = ("--platform", "linux/amd64,linux/arm64", "--layers=false", "--label", f"{LABEL}=list", "--quiet")
    run("podman", "build", *options, "--manifest", "localhost/strata-prune:list", str(tmp_path))
    every = {one["Digest"]: one["Id"] for one in podman_api.ask("/images/json")}
    inside = podman_api.ask("/manifests/localhost/strata-prune:list/json")["manifests"]
    images = {every[one["digest"]] for one in inside}

    def left() -> set[str]:
        return images & {one["Id"] for one in podman_api.ask("/images/json")}

    spec = {"images": True, "images_filters": {"label": f"{LABEL}=list"}}
    assert call("podman_prune", spec)["changed"] is False
    assert left() == images
    run("podman", "tag", FROM, "localhost/strata-prune:list")  # it is another's name now
    try:
        for check in (True, False):
            assert images < set(call("podman_prune", {"images": True}, check=check)["images"])
        assert left() == set()
        assert not [one for one in podman_api.ask("/images/json") if one["IsManifestList"]]
        assert call("podman_prune", {"images": True})["changed"] is False
    finally:
        podman_api.ask("/images/localhost/strata-prune:list/untag?repo=localhost/strata-prune&tag=list", "POST")


def test_of_a_plain_user(yard):
    with account(USER) as uid:
        run("systemctl", "start", f"user@{uid}.service")
        with podman_api.service(USER) as at:
            podman_api.ask("/volumes/create", "POST", at, Name="strata-theirs", Label={LABEL: ""})
            spec = {"volumes": True, "volumes_filters": {"label": LABEL, "all": True}}
            done = call_as("root", "podman_prune", {**spec, "user_scope": USER})
            assert (done["volumes"], done["resource"]["name"]) == (["strata-theirs"], USER)
            assert podman_api.ask("/volumes/json", at=at) == []
            podman_api.ask("/volumes/create", "POST", at, Name="strata-theirs", Label={LABEL: ""})
            assert call_as(USER, "podman_prune", spec)["volumes"] == ["strata-theirs"]
    assert listed({}) == yard


def test_bad_input_is_refused():
    for spec, words in (({}, "says nothing"), ({"images": True, "images_filters": {"until": "soon"}}, "is no time")):
        with pytest.raises(Failed, match=words):
            call("podman_prune", spec)

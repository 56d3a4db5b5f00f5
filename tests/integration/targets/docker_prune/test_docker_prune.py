# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docker_prune, looked at through Docker's own command line. What it is let at has a label of the test's own."""

from __future__ import annotations

import pytest

from tests.lab.driver import Failed, call, run

LABEL = "strata-test-prune"
LISTS = {
    "containers": ("ps", "--all", "--format", "{{.Names}}"),
    "networks": ("network", "ls", "--format", "{{.Name}}"),
    "volumes": ("volume", "ls", "--format", "{{.Name}}"),
    "images": ("images", "--format", "{{.Repository}}"),
}


def there() -> dict[str, list[str]]:
    return {sort: sorted(run("docker", *argv).split()) for sort, argv in LISTS.items()}


def ours() -> dict[str, list[str]]:
    """What has the label."""
    return {sort: sorted(run("docker", *argv, "--filter", f"label={LABEL}").split()) for sort, argv in LISTS.items()}


def asked(**filters) -> dict:
    spec: dict = {}
    for sort in LISTS:
        spec |= {sort: True, f"{sort}_filters": {"label": LABEL, **filters.get(sort, {})}}
    return spec


@pytest.fixture
def yard():
    """A container that runs and one that ended, each on a network and with a volume; others without; an image."""
    for name in ("used", "ended", "lonely"):
        run("docker", "network", "create", "--label", LABEL, f"strata-{name}")
        run("docker", "volume", "create", "--label", LABEL, f"strata-{name}")
    for name, verb, argv in (("used", "run", ("--detach",)), ("ended", "create", ())):
        place = ("--network", f"strata-{name}", "--volume", f"strata-{name}:/data", "--label", LABEL)
        run("docker", verb, *argv, "--name", f"strata-{name}", *place, "busybox:latest", "sleep", "600")
    run("docker", "commit", "--change", f"LABEL {LABEL}=1", "strata-ended", "strata-prune:1")
    before = there()
    yield before
    run("docker", "rm", "--force", "--volumes", "strata-used", "strata-ended")
    if "strata-prune" in ours()["images"]:
        run("docker", "rmi", "strata-prune:1")
    for sort in ("networks", "volumes"):
        for name in ours()[sort]:
            run("docker", sort.removesuffix("s"), "rm", name)


def test_what_is_told_goes_and_nothing_else(yard):
    mild = {"volumes": {"all": False}, "images": {"dangling": True}}
    foretold = call("docker_prune", asked(**mild), check=True)
    assert there() == yard
    done = call("docker_prune", asked(**mild))
    for key in ("changed", "changes", "diff", "containers", "networks"):
        assert foretold[key] == done[key]
    kept = {
        "containers": ["strata-used"],
        "networks": ["strata-used"],
        "volumes": ["strata-ended", "strata-lonely", "strata-used"],
        "images": ["strata-prune"],
    }
    assert ours() == kept
    assert call("docker_prune", asked(**mild))["changed"] is False

    whole = call("docker_prune", asked(volumes={"all": True}, images={"dangling": False}))
    assert {one["field"] for one in whole["changes"]} == {"unused_volumes", "unused_images"}
    assert ours() == {
        "containers": ["strata-used"],
        "networks": ["strata-used"],
        "volumes": ["strata-used"],
        "images": [],
    }
    gone = {"strata-ended", "strata-lonely", "strata-prune"}
    assert there() == {sort: [name for name in names if name not in gone] for sort, names in yard.items()}


def test_a_stopped_container_keeps_its_network(yard):
    spec = {"networks": True, "networks_filters": {"label": LABEL}}
    call("docker_prune", spec)
    assert ours()["networks"] == ["strata-ended", "strata-used"]
    run("docker", "start", "strata-ended")
    assert yard["containers"] == there()["containers"]


def cached() -> list[str]:
    """The parts of BuildKit's cache, as buildx tells them."""
    told = run("docker", "buildx", "--builder=default", "du", "--verbose")
    return [line.split()[1] for line in told.splitlines() if line.startswith("ID:")]


def test_the_cache_of_the_builder(tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /Dockerfile\n")
    run("docker", "buildx", "build", "--builder=default", "--tag", "strata-prune:cached", str(tmp_path))
    run("docker", "rmi", "strata-prune:cached")
    before = cached()
    assert before
    spec = {"builder_cache": True, "builder_cache_all": True}
    foretold = call("docker_prune", spec, check=True)
    assert cached() == before
    done = call("docker_prune", spec)
    assert (foretold["changed"], foretold["changes"]) == (True, done["changes"])
    assert cached() == []
    assert call("docker_prune", spec)["changed"] is False


def test_bad_input_is_refused():
    for spec, words in (({}, "says nothing"), ({"images": True, "images_filters": {"until": "soon"}}, "is no time")):
        with pytest.raises(Failed, match=words):
            call("docker_prune", spec)

# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""podman_play, planned from what Podman (5.4) tells, and carried out by a Podman that is a dictionary."""

from __future__ import annotations

import copy
import json
from types import SimpleNamespace

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core.converge import carry_out, describe
from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.resource import read_one
from ansible_collections.strata.virt.plugins.module_utils.engines import kube
from ansible_collections.strata.virt.plugins.module_utils.engines.podman_plays import PodmanPlays
from ansible_collections.strata.virt.plugins.module_utils.kinds.podman_play import PodmanPlay

IMAGE = "localhost/web:1.0"


def pod(name: str = "shop", *, kind: str = "Pod", image: str = IMAGE, **spec) -> dict:
    inner = {"containers": [{"name": "web", "image": image}], **spec}
    if kind == "Pod":
        return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": inner}
    template = {"metadata": {"labels": {"app": name}}, "spec": inner}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": {"template": template}}


def config(**data) -> dict:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": data}


def secret(word: str = "correct horse") -> dict:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "token"}, "stringData": {"word": word}}


CONFIGURED = {
    "containers": [{"name": "web", "image": IMAGE, "envFrom": [{"configMapRef": {"name": "settings"}}]}],
    "volumes": [
        {"name": "a", "configMap": {"name": "settings"}},
        {"name": "b", "persistentVolumeClaim": {"claimName": "pages"}},
    ],
}


class Service(PodmanPlays):
    """A Podman that is a dictionary. What is in ``fails`` doesn't come about."""

    def __init__(self) -> None:
        self.service = SimpleNamespace(user=SimpleNamespace(lingers=True))
        self.there: dict[str, dict] = {}
        self.held: dict[str, dict] = {}
        self.stores: dict[str, dict] = {}
        self.rooms: dict[str, dict] = {}
        self.store = {IMAGE: "i1", "localhost/web:2.0": "i2"}
        self.fails: set[str] = set()
        self.told: list[tuple] = []

    def pods(self):
        return [self._shown(one) for one in self.there.values()]

    def _shown(self, one):
        states = {inner["State"] for inner in self.held.values() if inner["Pod"] == one["Id"]}
        return {
            **one,
            "Status": "Running" if states == {"running"} else "Degraded" if "running" in states else "Exited",
        }

    def inside(self):
        return list(self.held.values())

    def secrets(self):
        return list(self.stores.values())

    def secret(self, name):
        return self.stores.get(name)

    def keep_secret(self, name, data, driver, options, labels):
        self.told.append(("keep_secret", name))
        self.stores[name] = {"Spec": {"Name": name, "Labels": labels}, "SecretData": data}

    def remove_secret(self, name):
        self.stores.pop(name, None)

    def volumes(self):
        return list(self.rooms.values())

    def create_volume(self, body):
        self.rooms[body["Name"]] = body

    def remove_volume(self, volume):
        self.rooms.pop(volume, None)

    def mounting(self, volume):
        return {}

    def image(self, reference):
        return {"Id": self.store[reference]} if reference in self.store else None

    def forget_images(self):
        pass

    def pull_image(self, reference, tls_verify):
        self.told.append(("pull", reference, tls_verify))
        if "pull" in self.fails:
            raise StrataError("Podman refused: no such manifest")
        self.store[reference] = "pulled"

    def play(self, documents, options):
        every = [copy.deepcopy(one) for one in documents]
        self.told.append(("play", [kube.key(one) for one in every], dict(options)))
        for one in every:
            if one["kind"] not in kube.PODS:
                continue
            name = kube.pod_name(one)
            self.there[name] = {"Id": f"id-{name}", "Name": name, "Labels": kube.template(one)["metadata"]["labels"]}
            self.held[f"{name}-infra"] = self._made(name, f"{name}-infra", IMAGE, IsInfra=True)
            for inner, said in kube.containers(one).items():
                if said["image"] in self.fails:
                    raise StrataError(f"Podman refused: {said['image']}")
                self.held[inner] = self._made(name, inner, said["image"])

    def _made(self, name, inner, image, **more):
        base = {
            "Labels": self.there[name]["Labels"],
            "Names": [inner],
            "Id": f"id-{inner}",
            "Pod": f"id-{name}",
            "State": "created",
            "ExitCode": 0,
        }
        return {**base, "ImageID": self.store[image], "IsInfra": False, **more}

    def start_pod(self, name):
        self.told.append(("start", name))
        for inner in self.held.values():
            if inner["Pod"] == f"id-{name}":
                fails = inner["ImageID"] in self.fails
                inner.update(State="exited" if fails else "running", ExitCode=1 if fails else 0)

    def pod_does(self, name, verb):
        self.told.append((verb, name))
        for inner in self.held.values():
            if inner["Pod"] == f"id-{name}":
                inner["State"] = {"stop": "exited", "unpause": "running"}[verb]

    def remove_pod(self, name, force):
        self.told.append(("remove_pod", name))
        self.there = {key: one for key, one in self.there.items() if one["Id"] != name}
        self.held = {key: one for key, one in self.held.items() if one["Pod"] != name}

    def remove(self, container, volumes=False, timeout=0.0):
        del self.held[container]

    def last_words(self, container, lines=5):
        return "no route"


def declared(*documents: dict, **options) -> PodmanPlay:
    given = {"definition": list(documents)} if documents else {}
    return PodmanPlay({"name": "press", **given, **options})


def drawn(service: Service, resource: PodmanPlay):
    return resource.plan(read_one(resource, service))


def applied(service: Service, resource: PodmanPlay):
    """Apply it, and find nothing left over."""
    plan = drawn(service, resource)
    service.told.clear()
    carry_out(resource, service, plan)
    left = drawn(service, resource.settled())
    assert not left, describe(resource, left)
    return plan


def told(plan) -> dict:
    return {change.name: (change.before, change.after) for change in plan.changes}


@pytest.fixture
def service():
    return Service()


def test_a_play_as_it_is_asked_for(service):
    plan = applied(service, declared(pod(**CONFIGURED), config(A="1"), network=["front", "back:ip=192.0.2.7"]))
    assert told(plan)["state"] == ("absent", "running")
    assert service.told == [
        ("keep_secret", "strata-play-press"),
        ("play", ["ConfigMap/settings", "Pod/shop"], {"network": ["front", "back:ip=192.0.2.7"]}),
        ("start", "shop"),
        ("keep_secret", "strata-play-press"),
    ]
    labels = service.there["shop"]["Labels"]
    assert (labels["strata.play"], labels["strata.play.owner"], len(labels["strata.play.digest"])) == ("press", "", 64)
    content, data = service.rooms["settings"]["Labels"], service.rooms["pages"]["Labels"]
    assert (content, data) == ({"strata.play": "press", "strata.play.content": ""}, {"strata.play": "press"})
    assert "strata.owner" not in labels, "its containers would count as declared one by one"


def test_a_claim_has_its_own_words(service):
    claim = {
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "pages", "annotations": {"volume.podman.io/type": "tmpfs"}},
    }
    sent = []
    service.play = lambda documents, options: (sent.extend(documents), Service.play(service, documents, options))
    applied(service, declared(pod(**CONFIGURED), config(A="1"), claim))
    assert "pages" not in service.rooms, "Podman would have left its type out"
    assert sent[1]["metadata"] == {**claim["metadata"], "labels": {"strata.play": "press"}}


def test_only_what_changed_is_replaced(service):
    other = pod("helper", kind="Deployment")
    applied(service, declared(pod(**CONFIGURED), other, config(A="1")))
    plan = applied(service, declared(pod(**CONFIGURED), other, config(A="2")))
    assert set(told(plan)) == {"documents[ConfigMap/settings]", "pods[shop]"}
    assert [one for one in service.told if one[0] != "keep_secret"] == [
        ("remove_pod", "id-shop"),
        ("play", ["ConfigMap/settings", "Pod/shop"], {}),
        ("start", "shop"),
    ]
    plan = applied(service, declared(pod(**CONFIGURED), config(A="2")))
    assert told(plan) == {
        "documents[Deployment/helper]": (other, None),
        "pods[helper-pod]": ("as it was played", None),
    }
    assert [*service.there] == ["shop"]


@pytest.mark.parametrize(
    "options", [{"network": ["front"]}, {"annotation": {"a": "b"}}, {"log_opt": {"max_size": "1m"}}]
)
def test_how_it_is_played_is_a_part_of_it(service, options):
    applied(service, declared(pod()))
    assert told(applied(service, declared(pod(), **options)))["pods[shop]"] == ("as it was played", "as declared")
    assert not drawn(service, declared(pod(), **options, tls_verify=False))
    assert not drawn(service, declared(state="started")), "what is played stays where nothing else is declared"


def gone(service):
    service.remove_pod("id-shop", True)


def without(service):
    del service.held["shop-web"]


def stopped(service):
    service.held["shop-web"].update(State="exited", ExitCode=137)


def paused(service):
    service.held["shop-web"]["State"] = "paused"


def rebuilt(service):
    service.store[IMAGE] = "i1-new"


@pytest.mark.parametrize(
    ("drift", "field", "before", "verb"),
    [
        (gone, "pods[shop]", None, "play"),
        (without, "pods[shop]", "without shop-web", "play"),
        (rebuilt, "pods[shop]", f"from another {IMAGE}", "play"),
        (stopped, "containers[shop-web]", "exited", "start"),
        (paused, "containers[shop-web]", "paused", "unpause"),
    ],
)
def test_drift(service, drift, field, before, verb):
    applied(service, declared(pod()))
    drift(service)
    assert told(applied(service, declared(pod())))[field][0] == before
    assert verb in {one[0] for one in service.told}


def test_an_image_that_the_same_stack_builds_anew(service):
    applied(service, declared(pod(), pod("helper")))
    resource = declared(pod(), pod("helper", restartPolicy="Never"))
    plan = drawn(service, resource)
    service.store[IMAGE] = "i1-new"
    carry_out(resource, service, plan)
    assert not drawn(service, resource)


def test_what_ended_well_need_not_run(service):
    job = declared(pod(restartPolicy="OnFailure"))
    applied(service, job)
    for code, changed in ((0, False), (1, True)):
        service.held["shop-web"].update(State="exited", ExitCode=code)
        assert bool(drawn(service, job)) is changed


def test_states(service):
    applied(service, declared(pod(), state="created"))
    assert service.held["shop-web"]["State"] == "created"
    applied(service, declared(state="stopped"))
    applied(service, declared(state="started"))
    applied(service, declared(state="created"))
    assert service.held["shop-web"]["State"] == "running"
    paused(service)
    applied(service, declared(state="stopped"))
    assert service.told == [("unpause", "shop"), ("stop", "shop")]
    plan = applied(service, declared(pod(), state="started", recreate=True))
    assert told(plan)["recreate"] == (None, True)
    assert ("remove_pod", "id-shop") in service.told


def test_what_somebody_put_into_a_pod_stays_unless_it_was_said(service):
    applied(service, declared(pod()))
    service.held["other"] = service._made("shop", "other", IMAGE, Labels=None)
    assert read_one(declared(pod()), service).facts["orphans"] == ["other"]
    assert not drawn(service, declared(pod()))
    for resource in (declared(pod(image="localhost/web:2.0")), declared(state="absent")):
        with pytest.raises(StrataError, match=r"has other in pods .*remove_orphans: true"):
            drawn(service, resource)
    assert told(applied(service, declared(pod(), remove_orphans=True))) == {"orphans": (["other"], [])}
    assert "other" not in service.held


def test_secrets_are_its_own_and_never_shown(service):
    keyed = pod(
        containers=[
            {
                "name": "web",
                "image": IMAGE,
                "env": [{"name": "T", "valueFrom": {"secretKeyRef": {"name": "token", "key": "word"}}}],
            }
        ]
    )
    for word in ("correct horse", "battery staple"):
        resource = declared(keyed, secret(word))
        plan = applied(service, resource)
        assert "pods[shop]" in told(plan)
        assert word not in json.dumps(describe(resource, plan))
        assert word not in json.dumps(PodmanPlay.export("press", read_one(resource, service)))
    kept = json.loads(service.stores["token"]["SecretData"])
    assert (kept["data"], "stringData" in kept) == ({"word": "YmF0dGVyeSBzdGFwbGU="}, False)
    for changes in (
        service.remove_secret,
        lambda name: service.keep_secret(name, "", "file", {}, {"strata.play": "press"}),
    ):
        changes("token")
        plan = applied(service, declared(keyed, secret("battery staple")))
        assert told(plan) == {"documents[Secret/token]": (None, "********")}
        assert json.loads(service.stores["token"]["SecretData"]) == kept
    applied(service, declared(pod()))
    assert [*service.stores] == ["strata-play-press"]
    service.keep_secret("token", "of somebody", "file", {}, {})
    with pytest.raises(StrataError, match="would write into the secret token"):
        drawn(service, declared(keyed, secret()))


def test_absent_takes_what_it_made_and_data_only_where_that_was_said(service):
    for keep, left in ((True, {"pages", "others"}), (False, {"others"})):
        service.rooms["others"] = {"Name": "others", "Labels": None}
        applied(service, declared(pod(**CONFIGURED), config(A="1"), secret()))
        plan = applied(service, declared(state="absent", keep_volumes=keep))
        assert plan.steps == ("remove",)
        assert (set(service.rooms), service.there, service.stores) == (left, {}, {})


@pytest.mark.parametrize("fault", ["localhost/web:2.0", "i2"])
def test_what_was_played_comes_back(service, fault):
    applied(service, declared(pod(**CONFIGURED), config(A="1")))
    service.fails.add(fault)
    resource = declared(pod(image="localhost/web:2.0"), secret())
    with pytest.raises(StrataError, match="what was played before is back"):
        carry_out(resource, service, drawn(service, resource))
    assert [*service.stores] == ["strata-play-press"]
    assert not drawn(service, declared(pod(**CONFIGURED), config(A="1")))
    fails = {IMAGE, "i1"} | service.fails
    service.fails |= fails
    with pytest.raises(StrataError, match="could not be brought back"):
        carry_out(resource, service, drawn(service, resource))


def test_nothing_is_left_of_a_first_play_that_fails(service):
    service.fails.add(IMAGE)
    resource = declared(pod(), secret())
    with pytest.raises(StrataError, match=IMAGE):
        carry_out(resource, service, drawn(service, resource))
    assert (service.there, service.held, service.stores) == ({}, {}, {})


def test_an_image_that_does_not_come_leaves_all_as_it_was(service):
    applied(service, declared(pod()))
    service.fails.add("pull")
    resource = declared(pod(image="registry.example.com/web:3"), tls_verify=False)
    with pytest.raises(StrataError, match="no such manifest"):
        carry_out(resource, service, drawn(service, resource))
    assert service.told[-1] == ("pull", "registry.example.com/web:3", False)
    assert not drawn(service, declared(pod()))
    with pytest.raises(StrataError, match="wants the image localhost/nope:1"):
        drawn(service, declared(pod(image="localhost/nope:1")))


@pytest.mark.parametrize("when", ["play", "last keep_secret"])
def test_cut_short_the_next_run_finishes(service, when):
    applied(service, declared(pod()))
    resource = declared(pod(image="localhost/web:2.0"))
    plan = drawn(service, resource)
    kept = service.keep_secret

    def dies(*_what, **_more):
        raise KeyboardInterrupt

    if when == "play":
        service.play = dies
    else:
        service.start_pod = lambda name: (type(service).start_pod(service, name), setattr(service, "keep_secret", dies))
    with pytest.raises(KeyboardInterrupt):
        carry_out(resource, service, plan)
    for name in ("play", "start_pod"):
        vars(service).pop(name, None)
    service.keep_secret = kept
    applied(service, resource)
    assert "before" not in json.loads(service.stores["strata-play-press"]["SecretData"])


def test_names_that_others_have(service):
    applied(service, PodmanPlay({"name": "other", "definition": [pod()]}))
    with pytest.raises(StrataError, match="makes a pod shop, and there is one that this play"):
        drawn(service, declared(pod()))
    service.held["mine-web"] = {"Names": ["mine-web"], "Pod": "", "State": "running"}
    with pytest.raises(StrataError, match="makes a container mine-web"):
        drawn(service, declared(pod("mine")))


def test_of_files(service, tmp_path):
    file, more = tmp_path / "kube.yaml", tmp_path / "settings.yaml"
    text = f"kind: Pod\nmetadata: {{name: shop}}\nspec: {{containers: [{{name: web, image: '{IMAGE}'}}]}}\n---\n"
    file.write_text(text)
    more.write_text("kind: ConfigMap\nmetadata: {name: settings}\ndata: {since: 2026-01-31}\n")
    applied(service, declared(kube_file=str(file), configmap=[str(more)]))
    (found,) = [
        one for one in PodmanPlay.export("press", read_one(declared(), service))["definition"] if one["kind"] != "Pod"
    ]
    assert found["data"] == {"since": "2026-01-31"}
    for text, words in (("{", "is no YAML"), ("kind: Route\nmetadata: {name: a}", "a Route, which Podman")):
        file.write_text(text)
        with pytest.raises(StrataError, match=words):
            drawn(service, declared(kube_file=str(file)))
    with pytest.raises(StrataError, match="kube_file: is not on this host"):
        drawn(service, declared(kube_file="/nowhere"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"definition": [{"kind": "Service", "metadata": {"name": "a"}}]}, "a Service, which Podman doesn't play"),
        ({"definition": [{"kind": "Pod", "metadata": {}}]}, "a Pod without metadata.name"),
        ({"definition": [pod(), pod()]}, "Pod/shop twice"),
        ({"definition": [pod(containers=[])]}, "Pod shop without containers"),
        ({"definition": "kind: Pod"}, "neither a document nor a list"),
        ({"definition": [pod()], "kube_file": "/a"}, "can't go with definition"),
        ({"network": ["front"]}, "says how something is played, but not what"),
        ({"name": "press."}, "must end with a letter or digit"),
        (
            {
                "definition": [
                    {**pod("a", kind="Deployment"), "spec": {**pod("a", kind="Deployment")["spec"], "replicas": 3}}
                ]
            },
            "replicas: 3",
        ),
    ],
)
def test_bad_input(options, words):
    with pytest.raises(StrataError, match=words):
        PodmanPlay({"name": "press", **options})


def test_what_it_needs_of_others():
    needs = declared(pod(**CONFIGURED), network=["front:ip=192.0.2.7"]).needs()
    assert {("podman_image", IMAGE), ("podman_network", "front"), ("podman_volume", "pages")} <= {*needs}
    claim = {"kind": "PersistentVolumeClaim", "metadata": {"name": "pages"}}
    assert ("podman_volume", "pages") not in declared(pod(**CONFIGURED), claim).needs()


def test_whose_it_is(service):
    applied(service, PodmanPlay({"name": "press", "definition": [pod()]}, owner="site"))
    assert read_one(declared(), service).owner == "site"
    applied(service, declared(pod(image="localhost/web:2.0")))
    assert [PodmanPlay.owned(service, owner) for owner in ("site", "other", "")] == [["press"], [], []]
    service.remove_secret("strata-play-press")
    assert PodmanPlay.owned(service, "site") == ["press"]
    applied(service, declared(state="absent"))
    assert (PodmanPlay.owned(service, "site"), service.there) == ([], {})


def test_nothing_is_there_yet(service):
    with pytest.raises(StrataError, match="nothing is played under this name yet"):
        drawn(service, declared(state="started"))
    assert not drawn(service, declared(state="absent"))

# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documents of Kubernetes as Podman plays them (podman-kube-play(1)): what they say, without asking anybody."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Document = Mapping[str, Any]

PODS = {"Pod": "", "Deployment": "-pod", "DaemonSet": "-pod"}
"""The kinds that become pods, and what follows their own names in those of the pods (podman: playKubeDeployment)."""

_OTHERS = ("ConfigMap", "PersistentVolumeClaim", "Secret")

_NAMED_BY = {
    "configMapRef": ("ConfigMap", "name"),
    "configMapKeyRef": ("ConfigMap", "name"),
    "configMap": ("ConfigMap", "name"),
    "secretRef": ("Secret", "name"),
    "secretKeyRef": ("Secret", "name"),
    "secret": ("Secret", "secretName"),
    "persistentVolumeClaim": ("PersistentVolumeClaim", "claimName"),
}
"""Where a pod names what else it needs: the kind of that, and the key that has its name."""


def documents(given: Iterable[Any]) -> list[dict[str, Any]]:
    """Single documents, lists of them taken apart.

    Raises:
        ValueError: One of them is nothing that Podman plays, or is there twice.
    """
    try:
        # What is sent and kept is JSON: what can't be, or would be something else there, is told from the start.
        found: list[dict[str, Any]] = json.loads(json.dumps([one for document in given for one in _single(document)]))
    except TypeError as error:
        raise ValueError(f"has a value that no document of Kubernetes can have: {error}") from None
    for one in found:
        _check(one)
    keys = [key(one) for one in found]
    twice = sorted({one for one in keys if keys.count(one) > 1})
    if twice:
        raise ValueError(f"has {', '.join(twice)} twice")
    return found


def _single(document: Any) -> Iterator[Any]:
    if isinstance(document, Mapping) and document.get("kind") == "List":
        yield from document.get("items") or ()
    elif document is not None:  # what is between two lines of ---
        yield document


def _check(document: Any) -> None:
    if not isinstance(document, Mapping):
        raise ValueError(f"has {str(document)[:40]!r}, which is no document of Kubernetes")
    kind, name = document.get("kind"), (document.get("metadata") or {}).get("name")
    if kind not in PODS and kind not in _OTHERS:
        raise ValueError(f"has a {kind}, which Podman doesn't play: it knows {', '.join((*PODS, *_OTHERS))}")
    if not name:
        raise ValueError(f"has a {kind} without metadata.name")
    if kind in PODS and not (template(document).get("spec") or {}).get("containers"):
        raise ValueError(f"has {kind} {name} without containers")
    replicas = (document.get("spec") or {}).get("replicas", 1)
    if kind == "Deployment" and replicas != 1:
        raise ValueError(f"has Deployment {name} with replicas: {replicas}, and Podman runs one")


def key(document: Document) -> str:
    return f"{document['kind']}/{document['metadata']['name']}"


def template(document: Document) -> Document:
    """What says how a pod is: the document itself, or a part of it."""
    if document["kind"] == "Pod":
        return document
    found: Document = (document.get("spec") or {}).get("template") or {}
    return found


def pod_name(document: Document) -> str:
    return f"{document['metadata']['name']}{PODS[document['kind']]}"


def pods(every: Iterable[Document]) -> dict[str, Document]:
    """The documents that become pods, by their names."""
    return {pod_name(one): one for one in every if one["kind"] in PODS}


def containers(document: Document, part: str = "containers") -> dict[str, Document]:
    """What is said of the containers of a pod, by the names that Podman gives them."""
    pod = pod_name(document)
    return {f"{pod}-{one['name']}": one for one in template(document)["spec"].get(part) or ()}


def may_end(document: Document) -> bool:
    """Whether its containers needn't run again once they ended well."""
    return template(document)["spec"].get("restartPolicy") in ("Never", "OnFailure")


def references(document: Document) -> set[tuple[str, str]]:
    """What else a pod needs, by kind and name."""
    return set(_named(template(document)["spec"]))


def _named(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for word, inner in value.items():
            kind, name = _NAMED_BY.get(word, ("", ""))
            if kind and isinstance(inner, Mapping) and inner.get(name):
                yield kind, str(inner[name])
            else:
                yield from _named(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _named(inner)


def mounted(document: Document) -> set[str]:
    """The names of the volumes in which Podman lays down the ConfigMaps and Secrets that a pod mounts."""
    volumes = template(document)["spec"].get("volumes") or ()
    return {name for one in volumes for kind, name in _named(one) if kind != "PersistentVolumeClaim"}


def digest(document: Document, every: Iterable[Document], options: Mapping[str, Any]) -> str:
    """What tells a pod from one that was played otherwise."""
    needed = {f"{kind}/{name}" for kind, name in references(document)}
    parts = [document, sorted((one for one in every if key(one) in needed), key=key), dict(options)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def labelled(document: Document, labels: Mapping[str, str], annotations: Mapping[str, str]) -> dict[str, Any]:
    """A document with more labels on what it makes, and more annotations."""
    changed = copy.deepcopy(dict(document))
    place = template(changed) if changed["kind"] in PODS else changed
    _add(place, "labels", labels)
    if changed["kind"] in PODS:
        _add(changed, "annotations", annotations)
    return changed


def _add(place: Any, part: str, more: Mapping[str, str]) -> None:
    metadata = place["metadata"] = {**(place.get("metadata") or {})}
    if more:
        metadata[part] = {**(metadata.get(part) or {}), **more}


def secret_text(document: Document) -> str:
    """A Secret as Podman keeps it: its document, with all that is in it encoded (podman: playKubeSecret)."""
    clear = document.get("stringData") or {}
    coded = {name: base64.b64encode(str(text).encode()).decode() for name, text in clear.items()}
    kept = {key: value for key, value in document.items() if key != "stringData"}
    return json.dumps({**kept, "data": {**(document.get("data") or {}), **coded}}, sort_keys=True)

# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images of whichever engine has them: built, pulled, loaded, tagged, pushed and saved."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

from ..core import policy
from ..core.codec import BOOL, PATH, TEXT, Codec
from ..core.errors import StrataError
from ..core.field import Field, Role, structure
from ..core.plan import Effect, Plan, State
from ..core.resource import Resource, Thing
from ..engines import docker_build as words
from ..engines.docker import OURS, Document, container_name
from ..engines.docker_images import DockerImages, references
from .image_build import BUILD, NO_MATTER, check_secrets, contents

# Labels that a build gives. What is built upon the image has them, too: they only count under the name that they tell.
OWNER, NAME = OURS + "image.owner", OURS + "image.name"
CONTEXT, RECIPE = OURS + "image.context", OURS + "image.recipe"
SHAPE = OURS + "image.shape"
"""What it is apart from its labels, where the builder's history of it doesn't tell those."""

_REFERENCE = re.compile(
    r"(?:[A-Za-z0-9.-]+(?::\d+)?/)?[a-z0-9]+(?:(?:[._/]|__|-+)[a-z0-9]+)*(?::[\w][\w.-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
)


def _parse_reference(value: Any) -> str:
    text = str(value)
    if not _REFERENCE.fullmatch(text):
        raise ValueError("is no name of an image: write web, web:1.0 or registry.example.com:5000/team/web:1.0")
    return text


def _parse_tag(value: Any) -> str:
    text = str(value)
    if not re.fullmatch(r"\w[\w.-]{0,127}", text, re.ASCII):
        raise ValueError("is no tag: use letters, digits, '_', '.' and '-', 128 at most")
    return text


def names(familiar: Callable[[str], str]) -> Codec:
    """A set of names of images."""

    def parse(values: Any) -> tuple[str, ...]:
        listed = [values] if isinstance(values, str) else values
        return tuple(sorted({familiar(_parse_reference(value)) for value in listed}))

    return Codec(parse, "list", list, "str")


def _derived(name: str, effect: Effect = Effect.RECREATE, codec: Codec = TEXT) -> Field:
    return Field(name, codec, effect=effect, role=Role.DERIVED)


def image_fields(*more: Field, build: Iterable[Field] = (), references: Codec) -> tuple[Field, ...]:
    """The options.

    Args:
        more: Those that only the engine has, and those that reach it.
        build: What only its builder has.
        references: How several names of images are read.
    """
    return (
        policy.name(Codec(_parse_reference)),
        Field("tag", Codec(_parse_tag), role=Role.POLICY, given="latest"),
        policy.state("present", "absent"),
        *more,
        Field("source", TEXT, role=Role.POLICY, choices=("build", "load", "pull", "local")),
        Field("build", structure(*BUILD, *build), role=Role.POLICY),
        Field("load_path", PATH, role=Role.POLICY),
        Field("force_source", BOOL, role=Role.POLICY, given=False),
        Field("force_absent", BOOL, role=Role.POLICY, given=False),
        Field("push", BOOL, role=Role.POLICY, given=False),
        _derived("context"),
        _derived("recipe"),
        _derived("image"),
        _derived("digest"),
        Field("repository", references, effect=Effect.LIVE, default=(), export=False),
        Field("archive_path", PATH, effect=Effect.LIVE, export=False),
        _derived("pushed", Effect.LIVE, references),
    )


class Image(Resource):
    """One name of an image. What the engine says of it is in Docker's words.

    Class attributes:
        recipes: How the file is called that says how to build, the first that is there.
        ignored_by: How the file is called that says what of a context doesn't count, the first that is there.
    """

    rank = 40
    recipes: ClassVar[tuple[str, ...]] = ("Dockerfile",)
    ignored_by: ClassVar[tuple[str, ...]] = words.DOCKERS
    states = {"present": "present", "absent": "absent"}
    busy = frozenset({"present"})

    # What was declared.

    def check(self) -> None:
        if self.target == "absent":
            return
        check_secrets(self.spec.get("build") or {})
        needed = {"build": "build", "load": "load_path"}.get(self.source)
        if needed and needed not in self.spec:
            raise StrataError(f"is required by source: {self.source}", option=needed)
        for option, source in (("build", "build"), ("load_path", "load")):
            if option in self.spec and self.source != source:
                raise StrataError(f"can't go with source: {self.source}", option=option)
        if "@" in self.name and self.source in ("build", "load"):
            raise StrataError("names a digest, which nobody can choose", option="name", value=self.spec["name"])
        if self.spec["force_source"] and self.source in ("build", "load"):
            self.spec["recreate"] = "always"

    def settled(self) -> Resource:
        calm = {**self.options, "force_source": self.spec["force_source"] and self.source == "pull"}
        return type(self)(calm, owner=self.owner, applied=self.applied)

    @property
    def source(self) -> str:
        given = self.spec.get("source")
        return str(given or ("build" if "build" in self.spec else "load" if "load_path" in self.spec else "pull"))

    @property
    def name(self) -> str:
        """The whole reference: two tags of a repository are two images."""
        return self._reference(self.spec["name"], self.spec["tag"])

    @classmethod
    def _reference(cls, name: Any, tag: str) -> str:
        return cls.familiar(str(name) if words.tagged(str(name)) else f"{name}:{tag}")

    @staticmethod
    def familiar(reference: str) -> str:
        """A name as it is compared: with a tag or a digest, and without what goes without saying."""
        raise NotImplementedError

    def provides(self) -> list[Thing]:
        return [(self.kind, self.name)]

    @classmethod
    def key(cls, options: Mapping[str, Any]) -> str:
        return super().key({**options, "name": cls._reference(options["name"], options.get("tag") or "latest")})

    def settings(self, state: State) -> dict[str, Any]:
        return {**super().settings(state), **state.facts.get("wanted", {})}

    @property
    def _dockerfile(self) -> str:
        build = self.spec["build"]
        usual = (name for name in self.recipes if os.path.isfile(os.path.join(build["path"], name)))
        return str(build.get("dockerfile") or next(usual, self.recipes[-1]))

    @property
    def _recipe(self) -> dict[str, Any]:
        """What of a build's options has a say in what comes out."""
        return {key: value for key, value in self.spec["build"].items() if key not in NO_MATTER}

    # What there is.

    @classmethod
    def read_many(cls, engine: DockerImages, names: Iterable[str] | None) -> dict[str, State]:
        images = engine.images()
        found = {cls.familiar(name): image for image in images for name in references(image)}
        wanted = (name for name in found if "@" not in name) if names is None else names
        there = {name: cls.find(cls.familiar(name), found) for name in wanted}
        containers = engine.containers() if found else []
        return {
            name: cls._read(cls.familiar(name), image, cls.made_of(engine, image, images), containers)
            for name, image in there.items()
            if image is not None
        }

    @classmethod
    def find(cls, reference: str, found: Mapping[str, Document]) -> Document | None:
        """The image that a name stands for, of those there are."""
        return found.get(reference)

    @classmethod
    def made_of(cls, engine: Any, image: Document, images: Iterable[Document]) -> list[Document]:
        """The images that a name stands for, one a platform."""
        return [image]

    @classmethod
    def _read(
        cls, reference: str, image: Document, inside: Iterable[Document], containers: Iterable[Document]
    ) -> State:
        said = [set((one.get("Labels") or {}).items()) for one in inside]
        labels = dict(set.intersection(*said)) if said else {}
        if labels.get(NAME) != reference:
            labels = {}
        ids = {image["Id"], *(one.get("Id") for one in inside)}
        users = [container_name(one) for one in containers if one["ImageID"] in ids]
        facts = {
            "id": image["Id"],
            "size": image.get("Size"),
            "tags": sorted(image.get("RepoTags") or ()),
            "digests": sorted(image.get("RepoDigests") or ()),
            "containers": sorted(users),
        }
        config = {"context": labels.get(CONTEXT), "recipe": labels.get(RECIPE), "image": image["Id"]}
        config["shape"] = labels.get(SHAPE) or None
        return State("present", config, facts=facts, owner=labels.get(OWNER))

    def observe(self, engine: Any, state: State) -> State:
        if self.target == "absent":
            return state
        wanted, config = self._wanted(engine, state), dict(state.config)
        if self.source == "build" and config.get("context") and not self.is_last(engine, state):
            config["context"] = None
        if "digest" in wanted and wanted["digest"] in [words.parts(one)[1] for one in state.facts.get("digests", ())]:
            config["digest"] = wanted["digest"]
        tags = {self.familiar(tag) for tag in state.facts.get("tags", ())}
        config["repository"] = tuple(sorted(tags & set(self.spec.get("repository", ()))))
        path = self.spec.get("archive_path")
        if path and state.exists and self.name in map(self.familiar, self.archived(path).get(state.facts["id"], ())):
            config["archive_path"] = path
        if self.spec["push"]:
            wanted["pushed"] = self.places()
            config["pushed"] = tuple(place for place in self.places() if self.is_pushed(engine, place, state))
        return replace(state, config=config, facts={**state.facts, "wanted": wanted})

    def is_last(self, engine: Any, state: State) -> bool:
        """Whether its labels are the last steps of what made it, and not inherited from what it was built upon."""
        for step in engine.history(state.facts["id"]):
            made_by = str(step.get("CreatedBy"))
            if " LABEL " not in made_by:  # the builder gives the labels of a build at its end, one a step
                return False
            if state.config["context"] in made_by:
                return True
        return False

    def _wanted(self, engine: DockerImages, state: State) -> dict[str, Any]:
        """What the source has to offer right now."""
        if self.source == "build":
            path = self.spec["build"]["path"]
            if not os.path.isdir(path):
                raise StrataError("is no folder of this host", option="build.path", value=path)
            if not os.path.isfile(os.path.join(path, self._dockerfile)):
                raise StrataError(f"is not in {path}", option="build.dockerfile", value=self._dockerfile)
            return {
                "context": words.context_digest(path, self._dockerfile, self.ignores(engine)),
                "recipe": words.options_digest(self._recipe),
            }
        if self.source == "load":
            return {"image": self._archived()}
        if self.source == "pull" and self.spec["force_source"]:
            digest = self.published(engine)
            if digest is None:
                raise StrataError("is not in its registry", option="name", value=self.name)
            return {"digest": digest}
        if self.source == "local" and not state.exists:
            raise StrataError("is not on this host", option="name", value=self.name)
        return {}

    def published(self, engine: Any) -> str | None:
        """The digest that the registry has for the name; None where it has none."""
        found: str | None = engine.published(self.name)
        return found

    @staticmethod
    def archived(path: str) -> dict[str, list[str]]:
        """The images in an archive: each one's tags by its ID."""
        return words.archived(path)

    def _archived(self) -> str:
        path = self.spec["load_path"]
        if not os.path.isfile(path):
            raise StrataError("is no file of this host", option="load_path", value=path)
        images = self.archived(path)
        image = words.chosen(images, self.name, self.familiar)
        if image is None:
            tags = ", ".join(sorted(tag for several in images.values() for tag in several))
            said = f"has no {self.name}, but {tags}" if images else "is no archive as docker save writes it"
            raise StrataError(said, option="load_path", value=path)
        return image

    def places(self) -> tuple[str, ...]:
        """Where to push to: the further tags, where there are any, else the name itself."""
        return tuple(self.spec.get("repository") or (self.name,))

    def is_pushed(self, engine: Any, place: str, state: State) -> bool:
        """Whether a registry has it under a name."""
        repository = words.parts(place)[0]
        here = [words.parts(one)[1] for one in state.facts.get("digests", ()) if words.parts(one)[0] == repository]
        return bool(here) and engine.published(place) in here

    # What is to be done.

    def plan(self, state: State) -> Plan:
        plan = super().plan(state)
        last = len(state.facts.get("tags", ())) <= 1
        # Containers of the same stack may go before the image does: then the engine is the judge.
        judged = bool(self.owner) or self.spec["force_absent"]
        if "remove" in plan.steps and last and state.facts["containers"] and not judged:
            raise StrataError(
                f"is in use by {', '.join(state.facts['containers'])}",
                hint="Remove them first, or set force_absent: true",
            )
        return plan

    def create(self, engine: DockerImages, plan: Plan) -> None:
        getattr(self, f"_{self.source}")(engine, plan)
        self.update(engine, plan)

    recreate = create

    def update(self, engine: Any, plan: Plan) -> None:
        for reference in self.spec.get("repository", ()):
            engine.tag(self.name, reference)
        if self.spec["push"]:
            for place in self.places():
                self.push(engine, place)
        if "archive_path" in self.spec:
            engine.save(self.name, self.spec["archive_path"])

    def push(self, engine: Any, place: str) -> None:
        engine.push(place)

    def remove(self, engine: DockerImages, plan: Plan) -> None:
        listed = (tag for tag in plan.state.facts["tags"] if self.familiar(tag) == self.name)
        engine.remove_image(next(listed, self.name), self.spec["force_absent"])

    def _build(self, engine: Any, plan: Plan) -> None:
        build = self.spec["build"]
        options = {**self.for_builder(build), "labels": self.labels(plan)}
        with words.pack(build["path"], self._dockerfile, self.ignores(engine), self.beside(build)) as context:
            engine.build(self.name, context, {key: value for key, value in options.items() if value})
        engine.sweep(f"{NAME}={self.name}")

    def ignores(self, engine: Any) -> tuple[str, ...]:
        """How the file may be called that says what of the context doesn't count."""
        return self.ignored_by

    def labels(self, plan: Plan) -> dict[str, str]:
        """The labels that a build gives."""
        return {
            **self.spec["build"].get("labels", {}),
            OWNER: self._owner(plan.state),
            NAME: self.name,
            CONTEXT: plan.want["context"],
            RECIPE: plan.want["recipe"],
            SHAPE: "",  # what it is built upon may have some
        }

    def secrets(self) -> dict[str, bytes]:
        """What is in each of the secrets that a build may read."""
        return contents(self.spec["build"])

    def beside(self, build: Mapping[str, Any]) -> dict[str, bytes]:
        """What goes to the builder beside the context, by the names that it has there."""
        return {}

    def for_builder(self, build: Mapping[str, Any]) -> dict[str, Any]:
        """The options of a build, in Docker's words."""
        return {
            "dockerfile": self._dockerfile,
            "buildargs": build.get("args"),
            "target": build.get("target"),
            "networkmode": build.get("network"),
            "platform": ",".join(build.get("platform", ())),
            "shmsize": build.get("shm_size"),
            "cachefrom": list(build.get("cache_from", ())),
            "extrahosts": [f"{name}:{address}" for name, address in build.get("etc_hosts", {}).items()],
            "nocache": build.get("nocache"),
            "pull": build.get("pull"),
        }

    def _owner(self, state: State) -> str:
        """Whose it is: what somebody else's name stood for becomes this declaration's by being built."""
        return self.owner if state.owner is None else state.owner

    def _load(self, engine: DockerImages, plan: Plan) -> None:
        engine.load(self.spec["load_path"])
        engine.tag(plan.want["image"], self.name)

    def _pull(self, engine: Any, plan: Plan) -> None:
        engine.pull(self.name)

    def _local(self, engine: DockerImages, plan: Plan) -> None:
        """Nothing makes it: it is there."""

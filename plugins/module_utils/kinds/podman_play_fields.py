# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of podman_play, and what follows from them without asking Podman."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core import policy
from ..core.codec import BOOL, LINE, MAP, PATH, SETTINGS, TEXTS, WORDS, Codec, parse_name
from ..core.errors import StrataError
from ..core.field import Field, Role
from ..core.libraries import library
from ..core.plan import Effect
from ..engines import kube
from ..engines.podman_plays import Played
from .podman_fields import PODMAN


def _parse_definition(value: Any) -> tuple[dict[str, Any], ...]:
    return tuple(kube.documents([value] if isinstance(value, Mapping) else _listed(value)))


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, (list, tuple)):
        raise ValueError("is neither a document nor a list of them; name a file in kube_file")
    return list(value)


def _parse_paths(values: Any) -> tuple[str, ...]:
    return tuple(PATH.parse(one) for one in TEXTS.parse(values))


def _check_name(name: str) -> None:
    if not name[-1].isalnum():
        raise ValueError("must end with a letter or digit")  # podman-secret-create(1)


_LOG_OPT = {"path": "path", "max_size": "max-size", "tag": "tag"}


def _parse_log_opt(values: Mapping[Any, Any]) -> dict[str, Any]:
    return {_LOG_OPT.get(word, word): text for word, text in MAP.parse(values).items() if text is not None}


def _policy(name: str, codec: Codec, **more: Any) -> Field:
    return Field(name, codec, role=Role.POLICY, **more)


def _derived(name: str, codec: Codec = SETTINGS, **more: Any) -> Field:
    return Field(name, codec, role=Role.DERIVED, export=False, **more)


_NAME = Field("name", Codec(parse_name), role=Role.NAME, required=True, check=_check_name)
FIELDS = (
    _NAME,
    policy.state("started", "stopped", "created", "absent"),
    *PODMAN,
    _policy("definition", Codec(_parse_definition, "raw", list)),
    _policy("kube_file", PATH),
    _policy("configmap", Codec(_parse_paths, "list", list, "str")),
    _policy("annotation", MAP, aliases=("annotations",)),
    _policy("network", TEXTS),
    _policy("userns", LINE),
    _policy("log_driver", LINE),
    _policy("log_opt", Codec(_parse_log_opt, "dict", dict), aliases=("log_options",)),
    _policy("tls_verify", BOOL),
    _policy("recreate", BOOL, given=False),
    _policy("remove_orphans", BOOL, given=False),
    _policy("keep_volumes", BOOL, given=True),
    _policy("linger", BOOL, given=True),
    _derived("documents", Codec(dict, "dict", dict, partial=True)),
    _derived("pods"),
    _derived("containers", effect=Effect.LIVE),
    _derived("orphans", WORDS, effect=Effect.REMOVE, default=()),
    # What goes with a play that goes.
    _derived("kept_volumes", WORDS, effect=Effect.REMOVE, default=()),
)

HOW = ("annotation", "network", "userns", "log_driver", "log_opt", "tls_verify")
"""The options that say how documents are played."""
TLS = "tls_verify"
"""That of them which says how images come, and nothing of the pods."""


def check(spec: Mapping[str, Any]) -> None:
    if "definition" in spec and "kube_file" in spec:
        raise StrataError("can't go with definition", option="kube_file", hint="Give one of them")
    if not declares(spec):
        for option in ("configmap", *HOW):
            if option in spec and option != TLS:
                raise StrataError(
                    "says how something is played, but not what",
                    option="definition",
                    hint=f"Give it, or kube_file, or leave out {option}",
                )


def declares(spec: Mapping[str, Any]) -> bool:
    """Whether it says what is played; else that is what is."""
    return "definition" in spec or "kube_file" in spec


def declared(spec: Mapping[str, Any]) -> Played:
    """What is to be played.

    Raises:
        StrataError: A file can't be read, or has what Podman doesn't play.
    """
    found = list(spec.get("definition", ()))
    if "kube_file" in spec:
        found += _read("kube_file", spec["kube_file"])
    for path in spec.get("configmap", ()):
        found += _read("configmap", path)
    option = "kube_file" if "kube_file" in spec else "definition"
    try:
        every = kube.documents(found)
        if not kube.pods(every):
            raise ValueError("has nothing that becomes a pod")
    except ValueError as error:
        raise StrataError(str(error), option=option) from None
    return Played(tuple(every), {name: _plain(spec[name]) for name in HOW if name in spec and name != TLS})


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _read(option: str, path: str) -> list[Any]:
    yaml = library("yaml", "python3-yaml")
    try:
        with open(path, encoding="utf-8") as file:
            return kube.documents(yaml.load_all(file, Loader=_loader(yaml)))
    except OSError as error:
        raise StrataError(f"can't be read: {error.strerror}", option=option, value=path) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise StrataError(f"is no YAML: {' '.join(str(error).split())}", option=option, value=path) from None
    except ValueError as error:
        raise StrataError(str(error), option=option, value=path) from None


def _loader(yaml: Any) -> Any:
    """A safe loader that leaves dates as they are written: documents are sent on as JSON, which has none."""

    # Imported late, so that mypy knows no type of it.
    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        pass

    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in rules if tag != "tag:yaml.org,2002:timestamp"]
        for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    return Loader

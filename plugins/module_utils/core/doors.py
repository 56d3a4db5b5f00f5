# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole of the doors that open on no single kind: of stacks, of guests, of a host, and of what only acts."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from . import record, turns
from .codec import parse_name
from .converge import guarded
from .errors import Errors, StrataError, Unpacked
from .field import Field, arguments, decode
from .plan import State
from .resource import Resource
from .stack import Stack
from .survey import Subject, survey

STACK_OPTIONS: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "resources": {"type": "list", "elements": "dict", "required": True},
    "prune": {"type": "bool", "default": False},
    "parallel": {"type": "int", "default": 4},
}

EXPORT_OPTIONS: dict[str, Any] = {
    "kinds": {"type": "list", "elements": "str"},
    "owner": {"type": "str"},
}


def converge_stack(kinds: Callable[[str], type[Resource] | None], known: Iterable[str]) -> None:
    """Options in, many resources converged, result out."""
    gc.disable()  # the process is short-lived: looking for garbage would be a fifth of what an unchanged run takes
    module = AnsibleModule(argument_spec=STACK_OPTIONS, supports_check_mode=True)

    def work() -> dict[str, Any]:
        params = module.params
        if params["parallel"] < 1:
            raise StrataError("must be 1 or more", option="parallel", value=params["parallel"])
        try:
            name = parse_name(params["name"])
        except ValueError as error:
            raise StrataError(str(error), option="name", value=params["name"]) from None
        try:
            with turns.held({("stack", name): f"stack/{name}"}, module.check_mode):
                stack = Stack(
                    name, params["resources"], kinds, known, prune=params["prune"], parallel=params["parallel"]
                )
                with turns.held({item.resource.place: item.resource.entry for item in stack.items}, module.check_mode):
                    _carried_out(stack, module.check_mode)
        except Unpacked as missing:  # for the action that sent this
            return {"changed": False, "unpacked": str(missing)}
        result = stack.result()
        if stack.errors:
            module.fail_json(msg="; ".join(result["errors"]), **result)
        return result

    guarded(module, work)


def _carried_out(stack: Stack, check_mode: bool) -> None:
    stack.read()
    if stack.errors:  # Nothing was touched yet, and nothing is.
        raise Errors(stack.errors)
    if not check_mode:
        stack.apply()


def export_stack(kinds: Callable[[str], type[Resource] | None], known: Iterable[str]) -> None:
    """What a host has, as the entries that reproduce it."""
    module = AnsibleModule(argument_spec=EXPORT_OPTIONS, supports_check_mode=True)

    def work() -> dict[str, Any]:
        entries: list[dict[str, Any]] = []
        unread: dict[str, str] = {}
        asked, owner = module.params["kinds"], module.params["owner"]
        applied = (record.load(owner) if owner else None) or {}
        for word in asked or sorted(known):
            kind = kinds(word)
            if kind is None:
                raise StrataError(f"there is no kind {word!r}", option="kinds", hint=f"Kinds are: {', '.join(known)}")
            try:
                found = kind.read_many(kind.open({}), None if kind.listed else record.names(applied, kind))
            except StrataError as error:
                if asked:
                    raise
                unread[word] = str(error)
                continue
            for name, state in sorted(found.items()):
                if state.exists and owner in (None, state.owner):
                    entries.append({word: kind.export(name, state)})
        return {"resources": entries, "unread": unread}

    guarded(module, work)


def guests_options(words: Iterable[str]) -> dict[str, Any]:
    return {"engines": {"type": "list", "elements": "str", "choices": list(words)}}


def list_guests(kinds: Callable[[str], type[Resource] | None], guests: Mapping[str, str]) -> None:
    """The guests of a host.

    Args:
        kinds: Finds a kind by its name.
        guests: The kinds of which there are guests, by what their engines are called.
    """
    module = AnsibleModule(argument_spec=guests_options(guests), supports_check_mode=True)

    def work() -> dict[str, Any]:
        asked = module.params["engines"]
        found: list[dict[str, Any]] = []
        unread: dict[str, str] = {}
        for word in guests if asked is None else asked:
            kind = kinds(guests[word])
            if kind is None:
                raise StrataError(f"there is no kind {guests[word]!r}", option="engines", value=word)
            try:
                engine = kind.open({})
                states = sorted(kind.read_many(engine, None).items())
                told = [guest(kind, engine, name, state) for name, state in states if state.exists]
                found += [{"engine": word, **one} for one in told]
            except StrataError as error:
                unread[word] = str(error)
        return {"guests": found, "unread": unread}

    guarded(module, work)


def guest(kind: type[Resource], engine: Any, name: str, state: State) -> dict[str, Any]:
    """What an inventory says of a guest."""
    told = {"addresses": [], "networks": [], "labels": {}, **kind.reached(engine, name, state)}
    return {"guest": name, "state": state.status, "owner": state.owner, **told}


def survey_options(subjects: Iterable[str]) -> dict[str, Any]:
    return {"gather": {"type": "list", "elements": "str", "choices": list(subjects)}}


def survey_host(subjects: Mapping[str, Subject], host: Any) -> None:
    """What a host can do, and of what it can't: why not, and what helps."""
    module = AnsibleModule(argument_spec=survey_options(subjects), supports_check_mode=True)

    def work() -> dict[str, Any]:
        asked = module.params["gather"]
        return survey({name: subject for name, subject in subjects.items() if asked is None or name in asked}, host)

    guarded(module, work)


def act(fields: Iterable[Field], work: Callable[[Mapping[str, Any], bool], dict[str, Any]]) -> None:
    """Options in, something done or told that is no state to converge to, result out."""
    fields = tuple(fields)
    module = AnsibleModule(argument_spec=arguments(fields), supports_check_mode=True)
    guarded(module, lambda: work(decode(fields, module.params), module.check_mode))

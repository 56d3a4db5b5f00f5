# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One resource to one Ansible result, and many to a report."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from . import turns
from .codec import TEXTS
from .errors import StrataError
from .field import Field, Role, arguments
from .plan import Plan, State
from .resource import Resource, read_one


def report(kind: type[Resource], name: str, state: State) -> dict[str, Any]:
    """What was observed of one resource, printable."""
    shown: dict[str, Any] = {
        "name": name,
        "status": state.status,
        "owner": state.owner,
        "options": kind.export(name, state) if state.exists else {},
        "running": None,
        "facts": dict(state.facts),
    }
    if state.live is not None:
        words = kind.table.words
        shown["running"] = {key: words[key].show(value) for key, value in state.live.items() if key in words}
    return shown


def describe(resource: Resource, plan: Plan) -> dict[str, Any]:
    """What a plan does, as a part of a result."""
    told = resource.advice(plan)
    return {
        **({"advice": told} if told else {}),
        "changed": bool(plan),
        "changes": [change.as_result() for change in plan.changes],
        "restart_required": plan.restart_required,
    }


def carry_out(resource: Resource, engine: Any, plan: Plan) -> None:
    """Apply a plan, step by step.

    Raises:
        StrataError: It names the step that failed.
    """
    for step in plan.steps:
        try:
            resource.perform(engine, step, plan)
        except StrataError as error:
            raise error.at(resource.entry) from None
        except OSError as error:  # of a file that an engine has no better words for
            where = f" ({error.filename})" if error.filename else ""
            raise StrataError(f"could not {step}: {error.strerror}{where}", entry=resource.entry) from None


def verify(resource: Resource, engine: Any, state: State) -> None:
    """Plan again from what is there now; anything left over is a failure.

    Raises:
        StrataError: It names the fields that did not become what was declared.
    """
    left = resource.settled().plan(state)
    if left:
        wrong = ", ".join(f"{change.name} is {change.before!r}" for change in left.changes)
        why = resource.explain(engine, state)
        told = f"{wrong}; {why}" if why else wrong
        raise StrataError(f"was applied, but the host did not take it: {told}", entry=resource.entry)


def guarded(module: AnsibleModule, work: Callable[[], dict[str, Any]]) -> None:
    """Run the work of a door and leave with its result, or with one clear error."""
    try:
        result = work()
    except StrataError as error:
        module.fail_json(msg=str(error), entry=error.entry, option=error.option)
    else:
        for told in result.get("advice", ()):
            module.warn(told)
        module.exit_json(**result)


def converge(kind: type[Resource]) -> None:
    """The whole of a door: options in, one resource converged, result out."""
    module = AnsibleModule(argument_spec=kind.argument_spec(), supports_check_mode=True)

    def work() -> dict[str, Any]:
        resource = kind(module.params)
        try:
            with turns.held({resource.place: resource.entry}, module.check_mode):
                return _converged(resource, module.check_mode)
        except StrataError as error:
            raise error.at(resource.entry) from None

    guarded(module, work)


def _converged(resource: Resource, check_mode: bool) -> dict[str, Any]:
    kind = type(resource)
    engine = kind.open(resource.spec)
    state = read_one(resource, engine)
    plan = resource.plan(state)
    result = {**describe(resource, plan), "diff": plan.diff(resource.entry)}
    if plan and not check_mode:
        carry_out(resource, engine, plan)
        state = read_one(resource, engine)
        verify(resource, engine, state)
    return {**resource.outcome(state), **result, "resource": report(kind, resource.name, state)}


def info_fields(kind: type[Resource]) -> tuple[Field, ...]:
    """The options of a kind's ``_info`` door: which ones to tell of, and which engine to ask."""
    names = Field("name", TEXTS, role=Role.NAME)
    return (names, *(field for field in kind.fields if field.role is Role.CONNECT))


def inform(kind: type[Resource]) -> None:
    """The whole of an ``_info`` door: everything of a kind that the host has, or the named ones."""
    module = AnsibleModule(argument_spec=arguments(info_fields(kind)), supports_check_mode=True)

    def work() -> dict[str, Any]:
        spec = {field.name: module.params[field.name] for field in info_fields(kind)}
        engine = kind.open(spec)
        found = kind.read_many(engine, spec["name"])
        told = []
        for name, state in sorted(found.items()):
            if state.exists:
                used = kind.measure(engine, name, state)
                told.append({**report(kind, name, state), **({"usage": used} if used else {})})
        return {"resources": told}

    guarded(module, work)

"""Fault plans in TOML: one table a clause, its verb the key beside ``on``.

.. code-block:: toml

    seed = 7

    [[fault]]
    on = { share = 0.05, model = "exatrkx" }
    refuse = { code = "UNAVAILABLE", text = "Exceeds maximum queue size" }

    [[fault]]
    on = { numbers = [1, 3, "10-20"] }
    delay = { seconds = 0.5, jitter_s = 0.1 }

    [[fault]]
    refuse_admission = { numbers = [1] }
"""

from __future__ import annotations

import inspect
import tomllib
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar

from mock_server.faults.plan import Clause, FaultPlan

WrittenT = TypeVar("WrittenT", FaultPlan, Clause)

PLAN_VERBS = ("refuse_admission", "require_token", "start_slowly")
"""Verbs that say themselves which requests they speak of."""

CLAUSE_VERBS = tuple(
    name
    for name, _ in inspect.getmembers(Clause, inspect.isfunction)
    if not name.startswith("_") and name != "call"
)


def read_plan(path: Path) -> FaultPlan:
    """Plan of a file; what is raised is documented at `FaultPlan.from_toml`."""
    try:
        return plan_of(tomllib.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:  # bad TOML and bad UTF-8 too
        raise ValueError(f"{path}: {error}") from error


def plan_of(content: Mapping[str, object]) -> FaultPlan:
    """Plan of parsed TOML.

    Raises
    ------
    ValueError
        If a key is unknown or a value not what it should be.
    """
    _check_keys(content, ("seed", "fault"), where="plan")
    seed, clauses = content.get("seed", 0), content.get("fault", [])
    if type(seed) is not int:
        raise ValueError(f"seed: expected an integer, got {seed!r}")
    if not isinstance(clauses, list):
        raise ValueError("fault: expected [[fault]] tables")  # noqa: TRY004
    plan = FaultPlan(seed=seed)
    for number, clause in enumerate(clauses, start=1):
        plan = _with_clause(plan, clause, where=f"[[fault]] {number}")
    return plan


def _with_clause(plan: FaultPlan, clause: object, *, where: str) -> FaultPlan:
    if not isinstance(clause, dict):
        raise ValueError(f"{where}: expected a table, got {clause!r}")  # noqa: TRY004
    _check_keys(clause, ("on", *CLAUSE_VERBS, *PLAN_VERBS), where=where)
    verbs = [key for key in clause if key != "on"]
    if len(verbs) != 1:
        raise ValueError(f"{where}: expected one fault, got {verbs or 'none'}")
    (verb,) = verbs
    if verb in PLAN_VERBS:
        if "on" in clause:
            raise ValueError(f"{where}: {verb} takes no `on`")
        write: Callable[..., FaultPlan] = getattr(plan, verb)
        return _called(write, clause[verb], where=f"{where} {verb}")
    begun = _called(plan.on, clause.get("on", {}), where=f"{where} on")
    write = getattr(begun, verb)
    return _called(write, clause[verb], where=f"{where} {verb}")


def _called(verb: Callable[..., WrittenT], options: object, *, where: str) -> WrittenT:
    """Call a verb with a table of its arguments; ``true`` stands for an empty one."""
    options = {} if options is True else options
    if not isinstance(options, dict):
        raise ValueError(f"{where}: expected a table or true, got {options!r}")  # noqa: TRY004
    parameters = inspect.signature(verb).parameters
    _check_keys(options, [p for p in parameters if p != "when"], where=where)
    positional = [
        each
        for name, parameter in parameters.items()
        if parameter.kind is parameter.VAR_POSITIONAL
        for each in _listed(options.get(name, []), where=f"{where} {name}")
    ]
    named = {
        name: _value(parameters[name].annotation, value, where=f"{where} {name}")
        for name, value in options.items()
        if parameters[name].kind is not inspect.Parameter.VAR_POSITIONAL
    }
    try:
        return verb(*positional, **named)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {error}") from error


def _listed(values: object, *, where: str) -> list[object]:
    if not isinstance(values, list):
        raise ValueError(f"{where}: expected a list, got {values!r}")  # noqa: TRY004
    if where.endswith("numbers"):
        return [_number(value, where=where) for value in values]
    return values


def _number(value: object, *, where: str) -> int | range:
    """A request's number, or ``"10-20"``: both ends included."""
    if type(value) is int:
        return value
    first, dash, last = str(value).partition("-")
    if isinstance(value, str) and dash and first.isdecimal() and last.isdecimal():
        return range(int(first), int(last) + 1)
    raise ValueError(f'{where}: expected a number or "FIRST-LAST", got {value!r}')


_TYPES: Mapping[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "str": (str,),
    "bool": (bool,),
    "tuple[int, ...]": (list,),
}


def _value(annotation: str, value: object, *, where: str) -> object:
    """Check a value against the verb's annotation, which is text."""
    names = [name.strip() for name in str(annotation).split("|")]
    wanted = [kind for name in names for kind in _TYPES.get(name, ())]
    if type(value) not in wanted:
        expected = " or ".join(dict.fromkeys(kind.__name__ for kind in wanted))
        raise ValueError(f"{where}: expected {expected}, got {value!r}")
    return tuple(value) if isinstance(value, list) else value


def _check_keys(
    table: Mapping[str, object], known: Iterable[str], *, where: str
) -> None:
    names = list(known)
    for key in table:
        if key not in names:
            near = get_close_matches(key, names, n=3, cutoff=0.5) or sorted(names)
            raise ValueError(
                f"{where}: unknown key {key!r}, expected {', '.join(near)}"
            )

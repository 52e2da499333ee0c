"""A plan of faults, written as a sentence in Python or as a TOML file.

In TOML each fault is a table. Its one key beside ``on`` is the verb; the options are
those of the verb in Python, and ``true`` stands for none:

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

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from random import Random
from typing import Concatenate, ParamSpec

from mock_server.core.planned_faults import INFER
from mock_server.faults.kinds import (
    AddOutput,
    Arrival,
    Call,
    ChangeDatatype,
    ChangeShape,
    CutAnswer,
    Delay,
    DropConnection,
    DuplicateAnswer,
    Fault,
    FillWithNan,
    Hang,
    LoseStub,
    OmitOutput,
    Refuse,
    RefuseAsTooLarge,
    RequireToken,
    RestartServer,
    RunOutOfMemory,
    StartSlowly,
)
from sonic_base import (
    ConfigError,
    TomlTable,
    check_keys,
    config_from_mapping,
    toml_content,
)

P = ParamSpec("P")

INDEX = "RepositoryIndex"

Predicate = Callable[[Arrival], bool]


@dataclass(frozen=True, slots=True)
class Selection:
    """Requests by number, model, share, size or predicate: all conditions must hold.

    Numbers count from 1, in the order of arrival, each try of a client separately: over
    all models, or of one model where `model` names it.

    Raises
    ------
    ConfigError
        If a number is below 1, or `share` not between 0 and 1.
    """

    numbers: tuple[int | range, ...] = ()
    """Single ones and ranges; none means any."""

    model: str | None = None

    share: float | None = None
    """Fraction of the requests that meet all other conditions; drawn by the plan's
    seed."""

    every: int | None = None
    """``every=10``: the 10th, the 20th, ..."""

    after: int = 0
    """Only requests after this number."""

    larger_than_bytes: int | None = None
    """Size of all input tensors together."""

    when: Predicate | None = None
    """Called in the request's thread; a plan can be pickled if it is a function of a
    module."""

    rpc: str | None = INFER
    """gRPC's name, over HTTP too; None: all of them, health included."""

    def __post_init__(self) -> None:
        for each in self.numbers:
            lowest = min(each, default=1) if isinstance(each, range) else each
            if lowest < 1:
                raise ConfigError(f"requests are counted from 1, got {each!r}")
        if self.share is not None and not 0.0 <= self.share <= 1.0:
            raise ConfigError(f"share must lie between 0 and 1, got {self.share}")
        if self.every is not None and self.every < 1:
            raise ConfigError(f"every must be at least 1, got {self.every}")

    def matches(self, arrival: Arrival, draw: Callable[[], float]) -> bool:
        """Return whether this request is selected; `draw` gives a number in [0, 1)."""
        number = arrival.number if self.model is None else arrival.model_number
        return (
            self.rpc in (None, arrival.rpc)
            and self.model in (None, arrival.model_name)
            and number > self.after
            and (self.every is None or number % self.every == 0)
            and (not self.numbers or any(_holds(n, number) for n in self.numbers))
            and (
                self.larger_than_bytes is None
                or arrival.size_bytes > self.larger_than_bytes
            )
            and (self.when is None or bool(self.when(arrival)))
            and (self.share is None or draw() < self.share)
        )

    def __str__(self) -> str:
        written = [repr(number) for number in self.numbers]
        for each in fields(self)[1:]:
            value = getattr(self, each.name)
            if value != each.default:
                named = getattr(value, "__qualname__", None) or repr(value)
                written.append(f"{each.name}={named}")
        return ", ".join(written)


def _holds(numbers: int | range, number: int) -> bool:
    return number in numbers if isinstance(numbers, range) else number == numbers


ANY_REQUEST = Selection(rpc=None)


@dataclass(frozen=True, slots=True)
class Rule:
    """One clause of the plan: these requests, this fault."""

    selection: Selection
    fault: Fault

    def __str__(self) -> str:
        if self.selection == ANY_REQUEST:
            return f".{self.fault}"
        return f".on({self.selection}).{self.fault}"


@dataclass(frozen=True, slots=True, repr=False)
class FaultPlan:
    """Which requests go wrong, and how: a value that prints as it was written.

    A plan holds no counts, so one plan may serve several servers, and two runs that
    send the same requests in the same order meet the same faults. Clauses add up: every
    one that selects a request is applied, in the order written, until one ends it.

    Parameters
    ----------
    rules : tuple of Rule
        Written by `on` and the verbs.
    seed : int
        Of shares and jitter.

    Examples
    --------
    >>> FaultPlan(seed=7).on(share=0.05).refuse("UNAVAILABLE", "try later")
    FaultPlan(seed=7).on(share=0.05).refuse('UNAVAILABLE', 'try later')
    >>> plan = FaultPlan().on(1, 3, model="exatrkx").delay(0.5).refuse_admission(1)
    >>> plan = plan.on(every=100).drop_connection(after_model=True)
    """

    rules: tuple[Rule, ...] = ()
    seed: int = 0

    def on(
        self,
        *numbers: int | range,
        model: str | None = None,
        share: float | None = None,
        every: int | None = None,
        after: int = 0,
        larger_than_bytes: int | None = None,
        when: Predicate | None = None,
        rpc: str | None = INFER,
    ) -> Clause:
        """Begin a clause: the requests it selects, all of them if nothing is given.

        The parameters are those of `Selection`.
        """
        selection = Selection(
            numbers, model, share, every, after, larger_than_bytes, when, rpc
        )
        return Clause(self, selection)

    def refuse_admission(self, *numbers: int | range) -> FaultPlan:
        """Turn clients away before their first inference, as SuperSONIC's limiter does.

        These requests for the repository index, all if none is named, are answered
        CANCELLED without a text; inference itself is not refused.
        """
        return self.on(*numbers, rpc=INDEX).refuse("CANCELLED", "")

    def require_token(
        self, *tokens: str, requests_each: int | None = None
    ) -> FaultPlan:
        """Answer UNAUTHENTICATED unless a request carries the token.

        Every request needs it, health included, as ``authorization: Bearer TOKEN``.
        See `RequireToken`.
        """
        fault = RequireToken(tokens, requests_each=requests_each)
        return self.with_rule(ANY_REQUEST, fault)

    def start_slowly(self, *, seconds: float = 0.0, requests: int = 0) -> FaultPlan:
        """Let the server be alive, but not ready at first. See `StartSlowly`."""
        fault = StartSlowly(seconds=seconds, requests=requests)
        return self.with_rule(ANY_REQUEST, fault)

    def with_rule(self, selection: Selection, fault: Fault) -> FaultPlan:
        """Return the plan with one more clause."""
        return replace(self, rules=(*self.rules, Rule(selection, fault)))

    def faults_of(self, arrival: Arrival) -> list[tuple[Fault, Random]]:
        """Return the faults of a request, each with random numbers of its own."""
        found = []
        for index, rule in enumerate(self.rules):
            draw = Random(f"{self.seed}/{index}/{arrival.rpc}/{arrival.number}")
            if rule.selection.matches(arrival, draw.random):
                found.append((rule.fault, draw))
        return found

    @classmethod
    def from_toml(cls, path: Path | str) -> FaultPlan:
        """Read a plan from a file, whose form the module's documentation shows.

        Raises
        ------
        ConfigError
            If the file cannot be read, or is not such a plan; the message says where.
        """
        content = toml_content(path)
        check_keys(content, ("seed", "fault"), where=f"{path}: fault plan")
        seed, clauses = content.get("seed", 0), content.get("fault", [])
        if type(seed) is not int:
            raise ConfigError(f"{path}: seed: expected an integer, got {seed!r}")
        if not isinstance(clauses, list):
            raise ConfigError(f"{path}: expected [[fault]] tables, got {clauses!r}")
        plan = cls(seed=seed)
        for number, clause in enumerate(clauses, start=1):
            plan = plan.with_rule(*_rule(clause, where=f"{path}: [[fault]] {number}"))
        return plan

    def __repr__(self) -> str:
        seed = f"seed={self.seed}" if self.seed else ""
        return f"FaultPlan({seed})" + "".join(map(str, self.rules))


def _verb(kind: Callable[P, Fault]) -> Callable[Concatenate[Clause, P], FaultPlan]:
    """Return the method of `Clause` that adds a fault; its options are the fault's."""

    def add(clause: Clause, /, *args: P.args, **options: P.kwargs) -> FaultPlan:
        return clause.plan.with_rule(clause.selection, kind(*args, **options))

    add.__doc__ = kind.__doc__
    return add


@dataclass(frozen=True, slots=True)
class Clause:
    """The selected requests; each verb adds what happens to them to the plan.

    The classes in `mock_server.faults.kinds` document the verbs and their options.
    """

    plan: FaultPlan
    selection: Selection

    delay = _verb(Delay)
    hang = _verb(Hang)
    refuse = _verb(Refuse)
    refuse_as_too_large = _verb(RefuseAsTooLarge)
    run_out_of_memory = _verb(RunOutOfMemory)
    lose_stub = _verb(LoseStub)
    drop_connection = _verb(DropConnection)
    restart_server = _verb(RestartServer)
    call = _verb(Call)
    cut_answer = _verb(CutAnswer)
    change_shape = _verb(ChangeShape)
    change_datatype = _verb(ChangeDatatype)
    fill_with_nan = _verb(FillWithNan)
    omit_output = _verb(OmitOutput)
    add_output = _verb(AddOutput)
    duplicate_answer = _verb(DuplicateAnswer)


_SERVER_FAULTS = {each.verb: each for each in (RequireToken, StartSlowly)}
_REQUEST_FAULTS: dict[str, type[Fault]] = {
    each.verb: each
    for each in (
        *(Delay, Hang, Refuse, RefuseAsTooLarge, RunOutOfMemory, LoseStub),
        *(DropConnection, RestartServer, CutAnswer, ChangeShape, ChangeDatatype),
        *(FillWithNan, OmitOutput, AddOutput, DuplicateAnswer),
    )
}
_ADMISSION = "refuse_admission"
_SELECTING = [each.name for each in fields(Selection) if each.name != "when"]


def _rule(clause: object, *, where: str) -> tuple[Selection, Fault]:
    if not isinstance(clause, dict):
        raise ConfigError(f"{where}: expected a table, got {clause!r}")
    known = ("on", _ADMISSION, *_SERVER_FAULTS, *_REQUEST_FAULTS)
    check_keys(clause, known, where=where)
    verbs = [key for key in clause if key != "on"]
    if len(verbs) != 1:
        raise ConfigError(f"{where}: expected one fault, got {verbs or 'none'}")
    (verb,) = verbs
    options = {} if clause[verb] is True else clause[verb]
    place = f"{where} {verb}"
    if not isinstance(options, dict):
        raise ConfigError(f"{place}: expected a table or true, got {options!r}")
    if "on" in clause and verb not in _REQUEST_FAULTS:
        raise ConfigError(f"{where}: {verb} takes no `on`")
    if verb == _ADMISSION:
        check_keys(options, ("numbers",), where=place)
        selection = _selection({"rpc": INDEX, **options}, where=place)
        return selection, Refuse("CANCELLED", "")
    if verb in _SERVER_FAULTS:
        fault = config_from_mapping(_SERVER_FAULTS[verb], options, where=place)
        return ANY_REQUEST, fault
    selection = _selection(clause.get("on", {}), where=f"{where} on")
    return selection, config_from_mapping(_REQUEST_FAULTS[verb], options, where=place)


def _selection(table: TomlTable, *, where: str) -> Selection:
    check_keys(table, _SELECTING, where=where)
    if "numbers" in table:
        given = table["numbers"]
        numbers = given if isinstance(given, list) else [given]
        place = f"{where} numbers"
        table = {**table, "numbers": [_number(each, where=place) for each in numbers]}
    return config_from_mapping(Selection, table, where=where)


def _number(value: object, *, where: str) -> int | range:
    """Return a request's number, or the range of ``"10-20"``, both ends included."""
    if type(value) is int:
        return value
    first, dash, last = str(value).partition("-")
    if isinstance(value, str) and dash and first.isdecimal() and last.isdecimal():
        return range(int(first), int(last) + 1)
    raise ConfigError(f'{where}: expected a number or "FIRST-LAST", got {value!r}')

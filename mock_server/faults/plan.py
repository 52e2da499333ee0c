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

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from random import Random

import grpc

from mock_server.core.planned_faults import INFER
from mock_server.faults.kinds import (
    GRPC_DEFAULT_LIMIT_BYTES,
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
    FaultHook,
    FillWithNan,
    Hang,
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
    """Of the requests that meet all other conditions; drawn by the plan's seed."""

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
        return _plan(toml_content(path), where=f"{path}: ")

    @classmethod
    def from_mapping(cls, content: Mapping[str, object]) -> FaultPlan:
        """Make a plan of the content of such a file.

        Raises
        ------
        ConfigError
            If it is not such a plan.
        """
        return _plan(content, where="")

    def __repr__(self) -> str:
        seed = f"seed={self.seed}" if self.seed else ""
        return f"FaultPlan({seed})" + "".join(map(str, self.rules))


@dataclass(frozen=True, slots=True)
class Clause:
    """The selected requests; each verb adds what happens to them to the plan."""

    plan: FaultPlan
    selection: Selection

    def _with(self, fault: Fault) -> FaultPlan:
        return self.plan.with_rule(self.selection, fault)

    def delay(self, seconds: float, jitter_s: float = 0.0) -> FaultPlan:
        """Hold them back, uniformly between `seconds` and `seconds` + `jitter_s`."""
        return self._with(Delay(seconds, jitter_s))

    def hang(self) -> FaultPlan:
        """Never answer them."""
        return self._with(Hang())

    def refuse(self, code: str | grpc.StatusCode, text: str) -> FaultPlan:
        """Answer them with an error; the model does not run."""
        name = code.name if isinstance(code, grpc.StatusCode) else code
        return self._with(Refuse(name, text))

    def refuse_as_too_large(
        self, limit_bytes: int = GRPC_DEFAULT_LIMIT_BYTES
    ) -> FaultPlan:
        """Refuse them by gRPC's message limit: RESOURCE_EXHAUSTED."""
        return self._with(RefuseAsTooLarge(limit_bytes))

    def run_out_of_memory(self) -> FaultPlan:
        """Fail in the model as PyTorch does on a full GPU."""
        return self._with(RunOutOfMemory())

    def drop_connection(self, *, after_model: bool = False) -> FaultPlan:
        """Close their connection, before the model runs or after it."""
        return self._with(DropConnection(after_model=after_model))

    def restart_server(self, *, down_s: float = 0.0) -> FaultPlan:
        """Take the server down when they arrive, for `down_s` seconds."""
        return self._with(RestartServer(down_s=down_s))

    def call(self, hook: FaultHook) -> FaultPlan:
        """Call a function of your own with them."""
        return self._with(Call(hook))

    def cut_answer(self, output: str | None = None, *, keep: float = 0.5) -> FaultPlan:
        """Send part of the data under the whole shape."""
        return self._with(CutAnswer(output, keep=keep))

    def change_shape(
        self, output: str | None = None, *, shape: tuple[int, ...] | None = None
    ) -> FaultPlan:
        """Answer in another shape, by default without the last row."""
        return self._with(ChangeShape(output, shape=shape))

    def change_datatype(
        self, output: str | None = None, *, datatype: str = "FP64"
    ) -> FaultPlan:
        """Answer in another datatype."""
        return self._with(ChangeDatatype(output, datatype=datatype))

    def fill_with_nan(self, output: str | None = None) -> FaultPlan:
        """Answer with NaN wherever there are floats."""
        return self._with(FillWithNan(output))

    def omit_output(self, output: str | None = None) -> FaultPlan:
        """Leave an output out."""
        return self._with(OmitOutput(output))

    def add_output(self, name: str) -> FaultPlan:
        """Answer with one more output."""
        return self._with(AddOutput(name))

    def duplicate_answer(self) -> FaultPlan:
        """Answer twice in a stream; elsewhere give each output twice."""
        return self._with(DuplicateAnswer())


_SERVER_FAULTS = {each.verb: each for each in (RequireToken, StartSlowly)}
_REQUEST_FAULTS: dict[str, type[Fault]] = {
    each.verb: each
    for each in (
        *(Delay, Hang, Refuse, RefuseAsTooLarge, RunOutOfMemory, DropConnection),
        *(RestartServer, CutAnswer, ChangeShape, ChangeDatatype, FillWithNan),
        *(OmitOutput, AddOutput, DuplicateAnswer),
    )
}
_ADMISSION = "refuse_admission"
_SELECTING = [each.name for each in fields(Selection) if each.name != "when"]


def _plan(content: Mapping[str, object], *, where: str) -> FaultPlan:
    check_keys(content, ("seed", "fault"), where=f"{where}fault plan")
    seed, clauses = content.get("seed", 0), content.get("fault", [])
    if type(seed) is not int:
        raise ConfigError(f"{where}seed: expected an integer, got {seed!r}")
    if not isinstance(clauses, list):
        raise ConfigError(f"{where}fault: expected [[fault]] tables, got {clauses!r}")
    plan = FaultPlan(seed=seed)
    for number, clause in enumerate(clauses, start=1):
        place = f"{where}[[fault]] {number}"
        if not isinstance(clause, dict):
            raise ConfigError(f"{place}: expected a table, got {clause!r}")
        plan = plan.with_rule(*_rule(clause, where=place))
    return plan


def _rule(clause: TomlTable, *, where: str) -> tuple[Selection, Fault]:
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

"""A plan of faults, written as a sentence and read as one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import grpc

from mock_server.core.planned_faults import INFER
from mock_server.faults.answers import (
    AddOutput,
    ChangeDatatype,
    ChangeShape,
    CutAnswer,
    DuplicateAnswer,
    FillWithNan,
    OmitOutput,
)
from mock_server.faults.kinds import (
    GRPC_DEFAULT_LIMIT_BYTES,
    Call,
    Delay,
    DropConnection,
    Fault,
    Hang,
    Refuse,
    RefuseAsTooLarge,
    RequireToken,
    RestartServer,
    RunOutOfMemory,
    StartSlowly,
)
from mock_server.faults.selection import INDEX, Arrival, Predicate, Selection

FaultHook = Callable[[Arrival], None]
"""Called in the request's own thread; raises ModelError to refuse it, or waits."""

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
    send the same requests in the same order meet the same faults. Clauses add up: each
    that fits a request befalls it, in the order written, until one ends it.

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
        """Begin a clause: the requests it speaks of, all of them if nothing is given.

        The parameters are those of `Selection`.
        """
        selection = Selection(
            numbers, model, share, every, after, larger_than_bytes, when, rpc
        )
        return Clause(self, selection)

    def refuse_admission(self, *numbers: int | range) -> FaultPlan:
        """Plan that turns clients away at the door, as SuperSONIC's load limiter does.

        These requests for the repository index, all if none is named, are answered
        CANCELLED without a text; inference itself is not refused.
        """
        return self.on(*numbers, rpc=INDEX).refuse("CANCELLED", "")

    def require_token(
        self, *tokens: str, requests_each: int | None = None
    ) -> FaultPlan:
        """Plan that answers UNAUTHENTICATED unless the token comes along.

        It is asked of every request, health included, as ``authorization: Bearer
        TOKEN``. See `RequireToken`.
        """
        fault = RequireToken(tokens, requests_each=requests_each)
        return self.with_rule(ANY_REQUEST, fault)

    def start_slowly(self, *, seconds: float = 0.0, requests: int = 0) -> FaultPlan:
        """Plan of a server that is alive, but not ready at first. See `StartSlowly`."""
        fault = StartSlowly(seconds=seconds, requests=requests)
        return self.with_rule(ANY_REQUEST, fault)

    def with_rule(self, selection: Selection, fault: Fault) -> FaultPlan:
        """Plan with one more clause, in its plain form."""
        return replace(self, rules=(*self.rules, Rule(selection, fault)))

    @classmethod
    def from_toml(cls, path: Path | str) -> FaultPlan:
        """Read a plan from a file: see `mock_server.faults.toml`.

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If it is no such plan; the message says where.
        """
        from mock_server.faults.toml import read_plan  # noqa: PLC0415 - it needs this

        return read_plan(Path(path))

    @classmethod
    def from_mapping(cls, content: Mapping[str, object]) -> FaultPlan:
        """Plan of the same content, read already.

        Raises
        ------
        ValueError
            If it is no such plan.
        """
        from mock_server.faults.toml import plan_of  # noqa: PLC0415 - it needs this

        return plan_of(content)

    def befalling(self, arrival: Arrival) -> list[tuple[Fault, Random]]:
        """Faults of a request, each with its own source of chance: a pure function."""
        found = []
        for index, rule in enumerate(self.rules):
            draw = Random(f"{self.seed}/{index}/{arrival.rpc}/{arrival.number}")
            if rule.selection.matches(arrival, draw.random):
                found.append((rule.fault, draw))
        return found

    def __repr__(self) -> str:
        seed = f"seed={self.seed}" if self.seed else ""
        return f"FaultPlan({seed})" + "".join(map(str, self.rules))


@dataclass(frozen=True, slots=True)
class Clause:
    """The requests of a clause, waiting for its verb; every verb gives the plan."""

    plan: FaultPlan
    selection: Selection

    def _befalls(self, fault: Fault) -> FaultPlan:
        return self.plan.with_rule(self.selection, fault)

    def delay(self, seconds: float, jitter_s: float = 0.0) -> FaultPlan:
        """Hold them back, evenly between `seconds` and `seconds` + `jitter_s`."""
        return self._befalls(Delay(seconds, jitter_s))

    def hang(self) -> FaultPlan:
        """Never answer them."""
        return self._befalls(Hang())

    def refuse(self, code: str | grpc.StatusCode, text: str) -> FaultPlan:
        """Answer them with an error, the model not run."""
        name = code.name if isinstance(code, grpc.StatusCode) else code
        return self._befalls(Refuse(name, text))

    def refuse_as_too_large(
        self, limit_bytes: int = GRPC_DEFAULT_LIMIT_BYTES
    ) -> FaultPlan:
        """Refuse them by gRPC's message limit: RESOURCE_EXHAUSTED."""
        return self._befalls(RefuseAsTooLarge(limit_bytes))

    def run_out_of_memory(self) -> FaultPlan:
        """Fail in the model as PyTorch does on a full GPU."""
        return self._befalls(RunOutOfMemory())

    def drop_connection(self, *, after_model: bool = False) -> FaultPlan:
        """Close their connection, before the model runs or when it has run."""
        return self._befalls(DropConnection(after_model=after_model))

    def restart_server(self, *, down_s: float = 0.0) -> FaultPlan:
        """Take the server down when they arrive, for `down_s` seconds."""
        return self._befalls(RestartServer(down_s=down_s))

    def call(self, hook: FaultHook) -> FaultPlan:
        """Call a function of one's own with them."""
        return self._befalls(Call(hook))

    def cut_answer(self, output: str | None = None, *, keep: float = 0.5) -> FaultPlan:
        """Send part of the data under the whole shape."""
        return self._befalls(CutAnswer(output, keep=keep))

    def change_shape(
        self, output: str | None = None, *, shape: tuple[int, ...] | None = None
    ) -> FaultPlan:
        """Answer in another shape, by default without the last row."""
        return self._befalls(ChangeShape(output, shape=shape))

    def change_datatype(
        self, output: str | None = None, *, datatype: str = "FP64"
    ) -> FaultPlan:
        """Answer in another datatype."""
        return self._befalls(ChangeDatatype(output, datatype=datatype))

    def fill_with_nan(self, output: str | None = None) -> FaultPlan:
        """Answer with NaN wherever there are floats."""
        return self._befalls(FillWithNan(output))

    def omit_output(self, output: str | None = None) -> FaultPlan:
        """Leave an output out."""
        return self._befalls(OmitOutput(output))

    def add_output(self, name: str) -> FaultPlan:
        """Answer with one output more."""
        return self._befalls(AddOutput(name))

    def duplicate_answer(self) -> FaultPlan:
        """Answer twice in a stream; elsewhere give each output twice."""
        return self._befalls(DuplicateAnswer())

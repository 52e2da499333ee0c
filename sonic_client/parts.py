"""One request that was sent in parts, as one again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sonic_client.types import Answer, Failure, Outcome

__all__ = ["outcome_of_parts"]


def outcome_of_parts(parts: Sequence[Outcome]) -> Outcome:
    """Return the outcome of a request from those of its parts, in order.

    Its answer has the parts' outputs joined along the first axis; if a part
    failed, the request did, because half an answer is none.
    """
    tries = sum(part.tries for part in parts)
    answers = []
    for part in parts:
        if isinstance(part, Failure):
            return Failure(
                request_id=part.request_id,
                error=part.error,
                servers=part.servers,
                tries=tries,
            )
        answers.append(part)
    outputs = {
        name: np.concatenate([answer.outputs[name] for answer in answers])
        for name in answers[0].outputs
    }
    for array in outputs.values():
        array.flags.writeable = False  # as of every answer
    return Answer(
        request_id=answers[0].request_id,
        outputs=outputs,
        server=answers[-1].server,
        model_version=answers[-1].model_version,
        tries=tries,
        latency_s=sum(answer.latency_s for answer in answers),
    )

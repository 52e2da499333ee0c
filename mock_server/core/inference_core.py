"""The common part of both protocols: models and shared memory of one server."""

import hmac
from functools import partial
from queue import SimpleQueue

import grpc

from mock_server.core.held import HeldBytes
from mock_server.core.loaded_model import Loaded
from mock_server.core.planned_faults import PlannedFaults
from mock_server.core.received import RequestRecord
from mock_server.core.repository import Repository
from mock_server.core.tensor_forms import in_requested_form
from mock_server.errors import ModelError, invalid_request
from mock_server.model.declaration import Model
from mock_server.profiles import DEFAULT_PROFILE, Profile
from mock_server.scheduling.threads import waiting
from mock_server.wire.inference import (
    InferenceRequest,
    InferenceResponse,
    Respond,
)
from mock_server.wire.shared_memory import SharedMemory
from sonic_base import Secret

MAX_HELD_BYTES = 2 * 1024**3


class InferenceCore:
    """One server, whatever the protocol; may be used from any thread.

    Parameters
    ----------
    repository : Repository
        May be added to while the server runs.
    faults : PlannedFaults, optional
        Applied to each inference before it runs.
    record : RequestRecord, optional
        Told of each inference.
    profile : Profile
    token : Secret, optional
        That of every request.

    Attributes
    ----------
    held : HeldBytes
        The memory of the requests of both protocols, those on streams excepted.
    """

    def __init__(
        self,
        repository: Repository,
        faults: PlannedFaults | None = None,
        record: RequestRecord | None = None,
        profile: Profile = DEFAULT_PROFILE,
        token: Secret | None = None,
    ) -> None:
        self._token = token
        self.held = HeldBytes(MAX_HELD_BYTES)
        self.repository = repository
        self.profile = profile
        self.shared_memory = SharedMemory(is_allowed=profile.client_shared_memory)
        self._faults = faults
        self._record = record

    @property
    def needs_token(self) -> bool:
        """Whether requests must carry a token."""
        return self._token is not None

    def check_token(self, authorization: str | None) -> None:
        """Check the header of a request of any kind, in a time that tells nothing.

        Raises
        ------
        ModelError
            UNAUTHENTICATED, if this server has a token and the header is another one.
        """
        if self._token is None:
            return
        given = (authorization or "").encode(errors="surrogateescape")
        expected = f"Bearer {self._token.reveal()}".encode()
        if not hmac.compare_digest(given, expected):
            raise ModelError(
                grpc.StatusCode.UNAUTHENTICATED,
                "expected the header 'authorization: Bearer TOKEN' with this server's "
                "token",
            )

    @property
    def has_faults(self) -> bool:
        """Whether a planned fault may make `submit` wait."""
        return self._faults is not None

    @property
    def is_ready(self) -> bool:
        """Whether models may be asked: not after one failed to load."""
        return self.repository.is_server_ready

    def submit(
        self,
        loaded: Loaded,
        request: InferenceRequest,
        respond: Respond,
        *,
        is_awaited: bool = False,
    ) -> None:
        """Check a request and queue it; its answers come in the requested form.

        Parameters
        ----------
        loaded : Loaded
            The model it names.
        request : InferenceRequest
        respond : Respond
        is_awaited : bool
            Whether the caller does nothing but wait: its thread may run the model then.

        Raises
        ------
        ModelError
            If the request is wrong, or the queue refuses it: it is not answered then.
        """
        if self._record is not None:
            self._record.add(request)
        named: set[str] = set()
        for output in request.outputs:
            if output.name in named and not self.profile.repeated_outputs:
                raise invalid_request(
                    request.id, f"output '{output.name}' already exists in request"
                )
            named.add(output.name)
            if output.shared_memory is not None:
                self.shared_memory.check(output.shared_memory)
        if self._faults is not None:
            respond = self._faults.apply_to_inference(request, respond)
        if any(o.n_classes or o.shared_memory for o in request.outputs):
            respond = self._in_requested_form(loaded.model, request, respond)
        submit = loaded.submit_and_wait if is_awaited else loaded.submit
        submit(request, respond)

    def infer(self, loaded: Loaded, request: InferenceRequest) -> InferenceResponse:
        """Return the one answer of a model that is not decoupled; waits for it.

        Raises
        ------
        ModelError
            As `submit` does; an error of the model is in the response.
        """
        answers: SimpleQueue[InferenceResponse | None] = SimpleQueue()

        def respond(response: InferenceResponse | None, is_final: bool) -> None:
            answers.put(response)

        with waiting():
            self.submit(loaded, request, respond, is_awaited=True)
            request.cancellation.when_cancelled(partial(answers.put, None))
            while (response := answers.get()) is None:
                # The end of an answer that is still to come; or the client has left.
                if request.cancellation.is_cancelled:
                    loaded.drop_cancelled()
                    raise ModelError(grpc.StatusCode.CANCELLED, "Request cancelled")
        return response

    def _in_requested_form(
        self, model: Model, request: InferenceRequest, respond: Respond
    ) -> Respond:
        def changed(response: InferenceResponse | None, is_final: bool) -> None:
            if response is not None:
                response = in_requested_form(
                    response, request, model, self.shared_memory
                )
            respond(response, is_final)

        return changed

    def close(self) -> None:
        """Release shared memory, and end the threads of the models."""
        self.shared_memory.unregister()
        self.repository.close()


def refuse_decoupled(loaded: Loaded, text: str) -> None:
    """Refuse a request that has room for one answer only to a decoupled model.

    Raises
    ------
    ModelError
        UNIMPLEMENTED with `text`, if the model is decoupled.
    """
    if loaded.model.is_decoupled:
        raise ModelError(grpc.StatusCode.UNIMPLEMENTED, text)

"""One ModelStreamInfer call: many requests in, their responses out in order."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue
from typing import TypeAlias

import grpc
from tritonclient.grpc import service_pb2

from mock_server.core.inference_core import InferenceCore
from mock_server.core.loaded_model import Loaded
from mock_server.errors import ModelError, unforeseen
from mock_server.grpc_api.requests import inference_request
from mock_server.grpc_api.responses import end_of_stream, stream_response
from mock_server.wire.inference import (
    Cancellation,
    InferenceRequest,
    InferenceResponse,
    Respond,
)

Message: TypeAlias = service_pb2.ModelStreamInferResponse

MAX_UNANSWERED = 1024
"""Requests of one stream that are held, from their arrival until the client takes their
last answer: further ones stay with the client."""

MAX_HELD_BYTES = 32 * 1024**2
"""Of these requests and of their answers; a larger request is held alone."""


class InferenceStream:
    """Runs the requests of one stream, and orders their responses.

    Responses of models that are not decoupled are sent in the order of their requests;
    those of decoupled models at once.
    """

    def __init__(
        self,
        core: InferenceCore,
        cancellation: Cancellation,
        *,
        drop_connection: Callable[[], object],
    ) -> None:
        self._drop_connection = drop_connection
        self._core = core
        self._cancellation = cancellation
        self._outgoing: SimpleQueue[tuple[Message, _Pending | None] | None] = (
            SimpleQueue()
        )
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)
        self._n_held = self._held_bytes = 0
        self._models: set[Loaded] = set()
        self._in_order: deque[_Pending] = deque()
        self._unanswered = 0
        self._has_all_requests = False

    def responses_to(
        self, messages: Iterable[service_pb2.ModelInferRequest]
    ) -> Iterator[Message]:
        """Messages to send, as they come; ends with the last response.

        Requests are read in a thread of their own, which ends with the call.
        """
        self._cancellation.when_cancelled(lambda: self._outgoing.put(None))
        self._cancellation.when_cancelled(self._forget)
        reader = threading.Thread(
            target=self._read, args=(messages,), name="mock-server-stream", daemon=True
        )
        reader.start()
        while (taken := self._outgoing.get()) is not None:
            message, done = taken
            if done is not None:
                self._release(done)
            yield message
        self._cancellation.cancel()
        reader.join()

    def _read(self, messages: Iterable[service_pb2.ModelInferRequest]) -> None:
        try:
            for message in messages:
                if not self._has_room_for(size := message.ByteSize()):
                    return
                self._submit(message, size)
        except grpc.RpcError:  # the call was cancelled
            self._cancellation.cancel()
        finally:
            with self._lock:
                self._has_all_requests = True
                self._end_if_done()

    def _has_room_for(self, n_bytes: int) -> bool:
        """Wait until one more request may be held; False if the client has left."""
        with self._room:
            while not self._cancellation.is_cancelled:
                if self._n_held == 0 or (
                    self._n_held < MAX_UNANSWERED
                    and self._held_bytes + n_bytes <= MAX_HELD_BYTES
                ):
                    self._n_held += 1
                    self._held_bytes += n_bytes
                    return True
                self._room.wait()
            return False

    def _release(self, pending: "_Pending") -> None:
        """Hold a request no more: its last answer is on its way."""
        with self._room:
            self._n_held -= 1
            self._held_bytes -= pending.n_bytes
            self._room.notify()

    def _forget(self) -> None:
        """Let go of what is held for a client that has left."""
        with self._room:
            self._room.notify()
            models, self._models = self._models, set()
        for loaded in models:
            loaded.drop_cancelled()

    def _submit(self, message: service_pb2.ModelInferRequest, n_bytes: int) -> None:
        pending = _Pending(n_bytes)
        with self._lock:
            self._unanswered += 1
            self._in_order.append(pending)
        try:
            self._find_and_submit(message, pending)
        except ModelError as error:
            self._refuse(message, pending, error)
        except Exception as error:  # or the stream would never end
            self._refuse(message, pending, unforeseen(error, "ModelStreamInfer"))

    def _find_and_submit(
        self, message: service_pb2.ModelInferRequest, pending: "_Pending"
    ) -> None:
        loaded = self._core.repository.find(message.model_name, message.model_version)
        if loaded.model.is_decoupled:
            self._send_at_once(pending)
        request = inference_request(
            message,
            self._core.shared_memory,
            self._cancellation,
            drop_connection=self._drop_connection,
            is_streamed=True,
        )
        self._models.add(loaded)
        self._core.submit(loaded, request, self._respond(loaded, request, pending))
        if self._cancellation.is_cancelled:  # maybe just after the others were dropped
            loaded.drop_cancelled()

    def _refuse(
        self,
        message: service_pb2.ModelInferRequest,
        pending: "_Pending",
        error: ModelError,
    ) -> None:
        response = InferenceResponse(
            model_name="", model_version="", id=message.id, error=error
        )
        self._put(pending, stream_response(response, is_final=None), is_last=True)

    def _respond(
        self, loaded: Loaded, request: InferenceRequest, pending: "_Pending"
    ) -> Respond:
        def respond(response: InferenceResponse | None, is_final: bool) -> None:
            message = None
            if response is not None:
                message = stream_response(response, is_final=is_final)
            elif request.enable_empty_final_response:
                message = end_of_stream(loaded.model.name, request.id)
            self._put(pending, message, is_last=is_final)

        return respond

    def _send_at_once(self, pending: "_Pending") -> None:
        """Let the responses to this request wait for no others."""
        with self._lock:
            self._in_order.remove(pending)
            pending.is_ordered = False
            self._flush()

    def _put(
        self, pending: "_Pending", message: Message | None, *, is_last: bool
    ) -> None:
        """Send a message now, or when those before it are sent."""
        if is_last and message is None:
            self._release(pending)
        if self._cancellation.is_cancelled:
            message = None  # or what the model still answers would be kept
        with self._lock:
            if is_last:
                self._unanswered -= 1
                pending.is_done = True
            if message is not None:
                size = message.ByteSize()
                self._held_bytes += size
                pending.n_bytes += size
                sent = message, pending if is_last else None
                if pending.is_ordered:
                    pending.messages.append(sent)
                else:
                    self._outgoing.put(sent)
            self._flush()
            self._end_if_done()

    def _flush(self) -> None:
        while self._in_order:
            first = self._in_order[0]
            while first.messages:
                self._outgoing.put(first.messages.popleft())
            if not first.is_done:
                return
            self._in_order.popleft()

    def _end_if_done(self) -> None:
        if self._has_all_requests and self._unanswered == 0:
            self._outgoing.put(None)


class _Pending:
    """A request on the stream, with its responses that wait for earlier ones.

    A response comes with the request if it is the last one.
    """

    def __init__(self, n_bytes: int) -> None:
        self.n_bytes = n_bytes  # of the request, and of its answers so far
        self.is_ordered = True
        self.is_done = False
        self.messages: deque[tuple[Message, _Pending | None]] = deque()

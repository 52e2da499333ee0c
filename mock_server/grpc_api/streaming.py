"""One ModelStreamInfer call: many requests in, their answers out in the right order."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue
from typing import Any

import grpc
from tritonclient.grpc import service_pb2

from mock_server.core.inference_core import InferenceCore
from mock_server.core.loaded_model import Loaded
from mock_server.errors import ModelError
from mock_server.grpc_api.requests import inference_request
from mock_server.grpc_api.responses import end_of_stream, stream_response
from mock_server.wire.inference import Cancellation, InferenceRequest, InferenceResponse


class InferenceStream:
    """Runs the requests of one stream, and says what is to be sent when.

    Answers of models that are not decoupled leave in the order of their requests; those
    of decoupled ones as soon as they are there.
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
        self._outgoing: SimpleQueue[service_pb2.ModelStreamInferResponse | None] = (
            SimpleQueue()
        )
        self._lock = threading.Lock()
        self._in_order: deque[_Place] = deque()
        self._unanswered = 0
        self._has_all_requests = False

    def answers_to(
        self, messages: Iterable[service_pb2.ModelInferRequest]
    ) -> Iterator[service_pb2.ModelStreamInferResponse]:
        """Messages to send, as they come; ends with the last answer.

        Requests are read in a thread of their own, which ends with the call.
        """
        self._cancellation.when_cancelled(lambda: self._outgoing.put(None))
        reader = threading.Thread(
            target=self._read, args=(messages,), name="mock-server-stream", daemon=True
        )
        reader.start()
        while (message := self._outgoing.get()) is not None:
            yield message
        self._cancellation.cancel()
        reader.join()

    def _read(self, messages: Iterable[service_pb2.ModelInferRequest]) -> None:
        try:
            for message in messages:
                self._submit(message)
        except grpc.RpcError:  # so ends the iterator of a call that was cancelled
            self._cancellation.cancel()
        finally:
            with self._lock:
                self._has_all_requests = True
                self._end_if_done()

    def _submit(self, message: service_pb2.ModelInferRequest) -> None:
        place = _Place(self)
        with self._lock:
            self._unanswered += 1
            self._in_order.append(place)
        try:
            loaded = self._core.repository.find(
                message.model_name, message.model_version
            )
            if loaded.model.is_decoupled:
                self.leave_order(place)
            request = inference_request(
                message,
                self._core.shared_memory,
                self._cancellation,
                drop_connection=self._drop_connection,
                is_streamed=True,
            )
            self._core.submit(loaded, request, place.respond_to(loaded, request))
        except ModelError as error:
            response = InferenceResponse(
                model_name="", model_version="", id=message.id, error=error
            )
            place.send(stream_response(response, is_final=None), is_last=True)

    def leave_order(self, place: "_Place") -> None:
        """Answers of this request wait for no others."""
        with self._lock:
            self._in_order.remove(place)
            place.is_ordered = False
            self._flush()

    def put(
        self,
        place: "_Place",
        message: service_pb2.ModelStreamInferResponse | None,
        *,
        is_last: bool,
    ) -> None:
        """Send a message now, or when those before it are sent."""
        with self._lock:
            if is_last:
                self._unanswered -= 1
                place.is_done = True
            if message is not None and place.is_ordered:
                place.waiting.append(message)
            elif message is not None:
                self._outgoing.put(message)
            self._flush()
            self._end_if_done()

    def _flush(self) -> None:
        while self._in_order:
            first = self._in_order[0]
            while first.waiting:
                self._outgoing.put(first.waiting.popleft())
            if not first.is_done:
                return
            self._in_order.popleft()

    def _end_if_done(self) -> None:
        if self._has_all_requests and self._unanswered == 0:
            self._outgoing.put(None)


class _Place:
    """Where among the answers those to one request go."""

    def __init__(self, stream: InferenceStream) -> None:
        self._stream = stream
        self.is_ordered = True
        self.is_done = False
        self.waiting: deque[service_pb2.ModelStreamInferResponse] = deque()

    def send(
        self, message: service_pb2.ModelStreamInferResponse | None, *, is_last: bool
    ) -> None:
        self._stream.put(self, message, is_last=is_last)

    def respond_to(
        self, loaded: Loaded, request: InferenceRequest
    ) -> Callable[[InferenceResponse | None, bool], None]:
        def respond(response: InferenceResponse | None, is_final: bool) -> None:
            message: Any = None
            if response is not None:
                message = stream_response(response, is_final=is_final)
            elif request.enable_empty_final_response:
                message = end_of_stream(loaded.model.name, request.id)
            self.send(message, is_last=is_final)

        return respond

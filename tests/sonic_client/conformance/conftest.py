"""Stub servers that check the headers of calls, and answer nothing else."""

import asyncio
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import grpc
import pytest
import trustme
from aiohttp import web
from tritonclient.grpc import service_pb2


class StubServer:
    """Answers calls with an accepted token, and records all calls.

    Attributes
    ----------
    url : str
    accepted : set of str
        Accepted tokens; empty accepts every call.
    calls : list of (str, dict)
        Method or path, and headers, of every call.
    """

    def __init__(self):
        self.accepted = set()
        self.calls = []
        self.url = ""

    def refusal(self, method, headers):
        """Why the call is refused, or None; the text echoes the token, as some do."""
        self.calls.append((method, dict(headers)))
        given = headers.get("authorization", "")
        if self.accepted and given.removeprefix("Bearer ") not in self.accepted:
            return f"Jwt is expired: {given}"
        return None

    @property
    def tokens(self):
        """The received tokens, in order."""
        return [
            headers.get("authorization", "").removeprefix("Bearer ")
            for _, headers in self.calls
        ]


class GrpcStub(StubServer, grpc.GenericRpcHandler):
    def service(self, details):
        def answer(request, context):
            headers = {key: value for key, value in context.invocation_metadata()}
            if why := self.refusal(details.method, headers):
                context.abort(grpc.StatusCode.UNAUTHENTICATED, why)
            return service_pb2.ServerReadyResponse(ready=True).SerializeToString()

        return grpc.unary_unary_rpc_method_handler(answer)

    def serve(self, stack, certificate=None, roots=None):
        server = grpc.server(ThreadPoolExecutor(4), handlers=[self])
        if certificate is None:
            port = server.add_insecure_port("127.0.0.1:0")
        else:
            credentials = grpc.ssl_server_credentials(
                [
                    (
                        certificate.private_key_pem.bytes(),
                        certificate.cert_chain_pems[0].bytes(),
                    )
                ],
                roots.cert_pem.bytes() if roots else None,
                require_client_auth=roots is not None,
            )
            port = server.add_secure_port("127.0.0.1:0", credentials)
        server.start()
        stack.callback(lambda: server.stop(None).wait())
        self.url = f"grpc{'s' if certificate else ''}://127.0.0.1:{port}"


class HttpStub(StubServer):
    async def answer(self, request):
        await request.read()
        headers = {key.lower(): value for key, value in request.headers.items()}
        if why := self.refusal(request.path, headers):
            return web.json_response({"error": why}, status=401)
        return web.Response()

    def serve(self, stack, certificate=None, roots=None):
        context = None
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            certificate.configure_cert(context)
            if roots is not None:
                roots.configure_trust(context)
                context.verify_mode = ssl.CERT_REQUIRED
        port = stack.enter_context(HttpServer(self.answer, context))
        self.url = f"http{'s' if certificate else ''}://127.0.0.1:{port}"


class HttpServer:
    """An aiohttp server in a thread; gives its port."""

    def __init__(self, answer, tls=None):
        self._answer, self._tls = answer, tls
        self._ready, self._port = threading.Event(), 0
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self):
        self._thread.start()
        self._ready.wait()
        return self._port

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _run(self):
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application(client_max_size=2**30)
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self._tls)
        await site.start()
        self._port = runner.addresses[0][1]
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()


@pytest.fixture(scope="session")
def authority():
    """Signs certificates; nobody trusts it unless told to."""
    return trustme.CA()


@pytest.fixture(scope="session")
def certificates(authority, tmp_path_factory):
    """Its root, and a client's certificate and key, as files."""
    folder = tmp_path_factory.mktemp("certificates")
    client = authority.issue_cert("client@example.org")
    authority.cert_pem.write_to_path(folder / "roots.pem")
    client.private_key_pem.write_to_path(folder / "key.pem")
    client.cert_chain_pems[0].write_to_path(folder / "certificate.pem")
    return folder


@pytest.fixture
def serve(request):
    """Start stub servers of the scheme of the test class."""
    kind = HttpStub if request.cls.scheme == "http" else GrpcStub
    with ExitStack() as stack:

        def start_one(**tls):
            server = kind()
            server.serve(stack, **tls)
            return server

        yield start_one

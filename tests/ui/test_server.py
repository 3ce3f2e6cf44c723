"""The server of the page: for the page alone, on this machine alone."""

import contextlib
import http.client
import json
import signal
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from lava_s3trigger.cli.ui.processes import QUICK, SLOW
from tests.cli.commandline import CommandLine
from tests.processes import SECONDS, wait_until

from .conftest import EXAMPLES, Served

Serve = Callable[..., Served]
JSON: Final = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def served(serve: Serve) -> Served:
    return serve(*EXAMPLES)


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    text: str


class Client:
    """Asks a server as a browser would that has the cookie."""

    def __init__(self, served: Served) -> None:
        self.host = served.address.removeprefix("http://")
        self.path = served.link.removeprefix(served.address)
        self.cookie = ""
        answer = self.ask("GET", self.path)
        self.cookie = str(answer.headers["set-cookie"])

    def ask(
        self, method: str, path: str, headers: Mapping[str, str] = {}, body: bytes | None = None
    ) -> Answer:
        own = {"Cookie": self.cookie.partition(";")[0]} if self.cookie else {}
        connection = http.client.HTTPConnection(self.host, timeout=SECONDS)
        with contextlib.closing(connection):
            connection.request(method, path, body, {**own, **headers})
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.headers.items()), answer.read().decode())

    def call(self, name: str, request: Any) -> tuple[int, Any]:
        answer = self.ask("POST", f"/api/{name}", JSON, json.dumps(request).encode())
        return answer.status, json.loads(answer.text)


@pytest.fixture(scope="module")
def client(served: Served) -> Client:
    return Client(served)


def test_the_link_gives_a_cookie_and_leaves_the_token_out_of_the_address(client: Client) -> None:
    answer = client.ask("GET", client.path)
    assert (answer.status, answer.headers["location"]) == (303, "/")
    assert {"HttpOnly", "SameSite=strict"} <= set(client.cookie.split("; "))


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        *((path, {"Cookie": ""}, 403) for path in ("/", "/?token=guessed", "/scripts/main.js")),
        ("/", {"Cookie": "lava-s3trigger-1=x"}, 403),
        *(("/", {"Host": host}, 421) for host in ("evil.example", "127.0.0.1:1")),
        *(("/", {"Origin": origin}, 403) for origin in ("http://evil.example", "null")),
        ("/", {}, 200),
        *((path, {}, 404) for path in ("/../server.py", "/..%2fserver.py")),
    ],
)
def test_nobody_else_gets_in(
    client: Client, path: str, headers: dict[str, str], status: int
) -> None:
    assert client.ask("GET", path, headers).status == status
    if status != 200:
        answer = client.ask("POST", "/api/map", {**JSON, **headers}, b"{}")
        assert answer.status in (status, 200)
        assert (answer.status == 200) is (path != "/" and not headers)


def test_all_answers_have_a_strict_policy(client: Client) -> None:
    for path in ("/", "/scripts/main.js", "/nothing"):
        headers = client.ask("GET", path).headers
        policy = headers["content-security-policy"].split("; ")
        assert {"default-src 'none'", "script-src 'self'"} <= set(policy)
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
    # Without the cookie as well.
    assert "default-src" in str(client.ask("GET", "/", {"Cookie": ""}).headers)


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        (b"{}", "text/plain", "takes a JSON object"),
        (b"[]", "application/json", "takes a JSON object"),
        (b"{", "application/json", "takes a JSON object"),
        (b'{"a": "' + b"x" * 17_000_000 + b'"}', "application/json", "more than 16,777,216 bytes"),
    ],
)
def test_a_request_that_is_wrong_is_refused(
    client: Client, body: bytes, kind: str, message: str
) -> None:
    answer = client.ask("POST", "/api/map", {"Content-Type": kind}, body)
    assert (answer.status, message in json.loads(answer.text)["error"]) == (422, True)


@pytest.mark.parametrize("call", ["nothing", "_with", "__init__", "parked", "recent"])
def test_only_known_calls_are_answered(client: Client, call: str) -> None:
    status, answer = client.call(call, {})
    assert status == 422
    assert "there is no call" in answer["error"] or "no realm" in answer["error"]


@pytest.mark.parametrize("call", sorted(QUICK | SLOW))
@pytest.mark.parametrize(
    "request_",
    [{"drafts": 1}, {"drafts": [1]}, {"drafts": [{}]}, {"uri": 5}, {"payload": []}, {"text": None}],
    ids=json.dumps,
)
def test_a_request_of_another_form_ends_nothing(
    client: Client, call: str, request_: dict[str, Any]
) -> None:
    status, _ = client.call(call, request_)
    assert status in (200, 422)
    assert client.call("map", {})[0] == 200


def test_it_listens_on_this_machine_alone(served: Served) -> None:
    port = int(served.address.rpartition(":")[2])
    with socket.socket() as other:
        # It would answer at any address of 127.0.0.0/8, were it bound to all interfaces.
        assert other.connect_ex(("127.0.0.2", port)) != 0


def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ran = CommandLine(["ui"])(*EXAMPLES, "--no-browser", "--port", str(port))
    assert ran.status == 3
    assert f"port {port} on 127.0.0.1" in ran.errors
    assert "give another --port" in ran.errors


def test_no_entries_is_wrong_usage() -> None:
    ran = CommandLine(["ui"], {"LAVA_REALM": ""})("--no-browser")
    assert (ran.status, "no entries" in ran.errors) == (2, True)


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 0), (signal.SIGTERM, -15), (signal.SIGKILL, -9)]
)
def test_a_signal_ends_it_and_the_processes_that_decide(
    serve: Serve, number: signal.Signals, status: int
) -> None:
    served = serve(*EXAMPLES)
    client = Client(served)
    for call in ("map", "findings"):
        client.call(call, {})
    children = Path(f"/proc/{served.process.pid}/task/{served.process.pid}/children")
    processes = [Path("/proc", pid) for pid in children.read_text().split()]
    assert len(processes) >= 2
    served.process.send_signal(number)
    assert served.process.wait(SECONDS) == status
    wait_until(lambda: not any(path.exists() for path in processes), "the end of its children")

"""The init phase rehearses the first event, and calls nothing of AWS."""

import json
import socketserver
import ssl
import threading
from typing import Any, Final

import pytest
from botocore.exceptions import BotoCoreError
from botocore.httpsession import get_cert_path

from lava_s3trigger.aws.clients import load_certificates, make_clients
from lava_s3trigger.handler import Function
from lava_s3trigger.log import LOGGER
from lava_s3trigger.rehearsal import rehearse
from lava_s3trigger.settings import Settings
from tests.aws_in_memory import Endpoint
from tests.build import direct, eventbridge, job_entry, record, sns, sqs, trigger_entry
from tests.processes import run_python

_CHILD: Final = """
import gc, json, sys

connections = []
sys.addaudithook(
    lambda event, args: event in ("socket.connect", "socket.getaddrinfo")
    and connections.append(str(args))
)
from s3trigger import lambda_handler

assert gc.isenabled(), "no garbage would be collected"
assert gc.get_freeze_count() > 50_000, "the first event would have all modules searched"
in_init, known = list(connections), set(sys.modules)
for payload in json.loads(sys.argv[1]):
    lambda_handler(payload)
print(json.dumps([in_init, sorted(set(sys.modules) - known)]))
"""
_CREDENTIALS: Final = {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none"}
_ACCESS: Final = {
    "aws_access_key_id": "none",
    "aws_secret_access_key": "none",
    "region_name": "us-east-1",
}
WAY: Final = ["Query", "GetItem", "GetQueueUrl", "SendMessageBatch"]


def start(endpoint: str, *payloads: Any, **variables: str) -> tuple[list[str], list[str], str]:
    """Start the function as Lambda does, and hand it payloads.

    Returns:
        What the init phase connected to, what the payloads imported, and the log.
    """
    own = {
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_LAMBDA_FUNCTION_NAME": "s3trigger",
        "AWS_REGION": "us-east-1",
        "HOME": "/nonexistent",
    }
    done = run_python("-B", "-c", _CHILD, json.dumps(payloads), **own | variables)
    in_init, imported = json.loads(done.stdout)
    return in_init, imported, done.stderr


@pytest.mark.parametrize(
    "payload",
    [direct(record()), sns(record()), sqs(direct(record())), eventbridge()],
    ids=["s3", "sns", "sqs", "eventbridge"],
)
def test_the_first_event_imports_nothing(endpoint: Endpoint, payload: Any) -> None:
    realm = endpoint.realm("demo", ["core"])
    realm.jobs.put(job_entry())
    realm.triggers.put(trigger_entry(if_fnmatch="*.csv", parameters={"key": "{{ key }}"}))

    in_init, imported, _ = start(endpoint.url, payload, **_CREDENTIALS)

    assert len(realm.queue("core").messages) == 1
    assert (in_init, imported) == ([], [])


@pytest.mark.parametrize("credentials", [_CREDENTIALS, {}], ids=["with", "without"])
@pytest.mark.parametrize("endpoint", ["https://aws.invalid", "http://aws.invalid"])
def test_the_init_phase_connects_to_nothing_and_logs_its_start_only(
    endpoint: str, credentials: dict[str, str]
) -> None:
    in_init, _, log = start(endpoint, **credentials)
    assert in_init == []
    assert [line.split(" {")[0] for line in log.splitlines()] == ["[INFO] started"]


@pytest.mark.parametrize(
    ("settings", "operations"),
    [
        ({}, WAY),
        ({"mode": "observe"}, WAY[:-1]),
        ({"dedup_cache_size": 9, "dedup_table": "claims"}, ["UpdateItem", *WAY, "UpdateItem"]),
    ],
)
def test_a_rehearsal_takes_the_whole_way_of_an_event(
    endpoint: Endpoint, settings: dict[str, Any], operations: list[str]
) -> None:
    clients = make_clients(endpoint_url=endpoint.url, **_ACCESS)
    sent: list[str] = []
    for client in clients:
        client.meta.events.register("before-send", lambda event_name, **_: sent.append(event_name))
    rehearse(lambda: Function(Settings(realm="demo", **settings), *clients), *clients)

    assert [name.rpartition(".")[2] for name in sent] == operations
    assert not endpoint.calls


def test_after_a_rehearsal_all_is_as_before(endpoint: Endpoint) -> None:
    clients = make_clients(endpoint_url=endpoint.url, **_ACCESS)

    def fail() -> Any:
        raise ValueError("a defect")

    rehearse(fail, *clients)

    endpoint.add_queue("queue")
    assert clients[1].get_queue_url(QueueName="queue")["QueueUrl"].startswith(endpoint.url)
    assert not LOGGER.disabled


class _Refusing(socketserver.BaseRequestHandler):
    """Answers as no TLS server does."""

    def handle(self) -> None:
        self.request.recv(1)
        self.request.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")


def test_certificates_are_loaded_once_for_all_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    load, loaded = ssl.SSLContext.load_verify_locations, []

    def load_noted(context: ssl.SSLContext, *arguments: Any) -> None:
        loaded.append(arguments)
        load(context, *arguments)

    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", load_noted)
    with socketserver.TCPServer(("127.0.0.1", 0), _Refusing) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        url = f"https://127.0.0.1:{server.server_address[1]}"
        clients = [make_clients(endpoint_url=url, verify=True, **_ACCESS)[1] for _ in range(2)]
        load_certificates(*clients)
        for client in [*clients, *clients]:
            with pytest.raises(BotoCoreError):
                client.get_queue_url(QueueName="queue")
        server.shutdown()
        thread.join()

    assert loaded == [(get_cert_path(verify=True), None, None)]


def test_connections_still_verify() -> None:
    clients: tuple[Any, ...] = make_clients(verify=True, **_ACCESS)
    load_certificates(*clients)

    for client in clients:
        manager = client._endpoint.http_session._manager  # noqa: SLF001
        context = manager.connection_pool_kw["ssl_context"]
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.cert_store_stats()["x509_ca"] > 100

"""A proxy before the local server, which refuses notifications as S3 does and the server does not.

It keeps the configurations that were put, answers names of filters as S3 writes them, and lets a
test change or fail a request.
"""

import http.client
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

from .notification_rules import refusals

_KINDS = {
    "CloudFunctionConfiguration": ("LambdaFunctionConfigurations", "CloudFunction"),
    "QueueConfiguration": ("QueueConfigurations", "Queue"),
    "TopicConfiguration": ("TopicConfigurations", "Topic"),
}


def read_configuration(body: bytes) -> dict[str, Any]:
    """Read the body of PutBucketNotificationConfiguration."""
    found: dict[str, Any] = {}
    for element in ET.fromstring(body):
        kind, _ = _KINDS.get(_tag(element), (_tag(element), ""))
        if kind == "EventBridgeConfiguration":
            found[kind] = {}
            continue
        rules = [
            {_tag(part): part.text or "" for part in rule}
            for rule in element.iter()
            if _tag(rule) == "FilterRule"
        ]
        notification: dict[str, Any] = {
            "Events": [each.text for each in element if _tag(each) == "Event"],
            "Filter": {"Key": {"FilterRules": rules}},
        }
        ids = [each.text for each in element if _tag(each) == "Id"]
        notification |= {"Id": ids[0]} if ids else {}
        found.setdefault(kind, []).append(notification)
    return found


def _tag(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print errors, but not that a client is gone, such as a command that a test kills."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class S3Proxy:
    """The proxy, until the ``with`` block ends.

    Args:
        endpoint: Address of the local server.
    """

    def __init__(self, endpoint: str) -> None:
        self.puts: list[dict[str, Any]] = []
        """The configurations of buckets that were accepted."""
        self.requests: list[dict[str, str]] = []
        """All requests: method, path, body, and the headers that name their action."""
        self.before: Any = None
        """Called with method, path and body of a request; what it returns is answered."""
        self._target = urlsplit(endpoint).netloc
        proxy = self

        class Forwarding(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _forward(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                status, headers, answer = proxy.answer(self, body)
                self.send_response(status)
                for name, value in headers:
                    if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                        self.send_header(name, value)
                if self.command != "HEAD":
                    self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(answer)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _forward  # noqa: N815 - http.server's

            def log_message(self, *_: Any) -> None:
                pass

        self._server = _Server(("127.0.0.1", 0), Forwarding)

    def answer(
        self, request: BaseHTTPRequestHandler, body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """Return status, headers and body for a request."""
        self.requests.append(
            {
                "method": request.command,
                "path": request.path,
                "body": body.decode(errors="replace"),
                "authorization": request.headers.get("Authorization", ""),
                "target": request.headers.get("X-Amz-Target", ""),
            }
        )
        found = self.before(request.command, request.path, body) if self.before else None
        is_put = request.command == "PUT" and request.path.endswith("?notification")
        if found is None and is_put and (reasons := list(refusals(read_configuration(body)))):
            found = 400, error("InvalidArgument", f"Configurations overlap: {reasons[0]}")
        if found is not None:
            return found[0], [("Content-Type", "application/xml")], found[1]
        connection = http.client.HTTPConnection(self._target, timeout=60)
        headers = {k: v for k, v in request.headers.items() if k.lower() != "connection"}
        connection.request(request.command, request.path, body, headers)
        response = connection.getresponse()
        answer = response.read()
        connection.close()
        if is_put and response.status == 200:
            self.puts.append(read_configuration(body))
        if request.path.endswith("?notification"):
            for name in (b"prefix", b"suffix"):
                answer = answer.replace(
                    b"<Name>%s</Name>" % name, b"<Name>%s</Name>" % name.title()
                )
        return response.status, response.getheaders(), answer

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


def error(code: str, message: str) -> bytes:
    """Return an error as S3 words it."""
    return f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()

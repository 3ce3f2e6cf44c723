"""A proxy before the local server, which refuses notifications as S3 does and the server does not.

It keeps the configurations that were put, answers names of filters as S3 writes them, and lets a
test change or fail a request.
"""

import http.client
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

from .aws_in_memory.server import HttpAnswer, HttpRequest, HttpServer
from .notification_rules import refusals

_KINDS = {
    "CloudFunctionConfiguration": ("LambdaFunctionConfigurations", "CloudFunction"),
    "QueueConfiguration": ("QueueConfigurations", "Queue"),
    "TopicConfiguration": ("TopicConfigurations", "Topic"),
}
OF_CONNECTIONS = ("connection", "content-length", "expect", "transfer-encoding")
"""Headers that belong to a connection, or that sending a request gives it."""


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


class S3Proxy(HttpServer):
    """The proxy, until the ``with`` block ends.

    Args:
        endpoint: Address of the local server.
    """

    def __init__(self, endpoint: str) -> None:
        super().__init__()
        self.puts: list[dict[str, Any]] = []
        """The configurations of buckets that were accepted."""
        self.requests: list[dict[str, str]] = []
        """All requests: method, path, body, and the headers that name their action."""
        self.before: Any = None
        """Called with method, path and body of a request; what it returns is answered."""
        self._target = urlsplit(endpoint).netloc

    def respond(self, request: HttpRequest) -> HttpAnswer:
        """Answer a request."""
        method, path, body = request.method, request.path, request.body
        self.requests.append(
            {
                "method": method,
                "path": path,
                "body": body.decode(errors="replace"),
                "authorization": request.headers.get("authorization", ""),
                "target": request.headers.get("x-amz-target", ""),
            }
        )
        found = self.before(method, path, body) if self.before else None
        is_put = method == "PUT" and path.endswith("?notification")
        if found is None and is_put and (reasons := list(refusals(read_configuration(body)))):
            found = 400, error("InvalidArgument", f"Configurations overlap: {reasons[0]}")
        if found is not None:
            return HttpAnswer(found[0], found[1], {"Content-Type": "application/xml"})
        connection = http.client.HTTPConnection(self._target, timeout=60)
        headers = {k: v for k, v in request.headers.items() if k not in OF_CONNECTIONS}
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        answer = response.read()
        connection.close()
        if is_put and response.status == 200:
            self.puts.append(read_configuration(body))
        if path.endswith("?notification"):
            for name in (b"Prefix", b"Suffix"):
                answer = answer.replace(b"<Name>%s<" % name.lower(), b"<Name>%s<" % name)
        headers = {k: v for k, v in response.getheaders() if k.lower() not in OF_CONNECTIONS}
        return HttpAnswer(response.status, answer, headers)


def error(code: str, message: str) -> bytes:
    """Return an error as S3 words it."""
    return f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()

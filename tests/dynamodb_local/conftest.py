"""The two servers that the same tests run on: ministack, and Amazon's DynamoDB Local."""

import contextlib
import itertools
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, Final

import pytest

from lava_s3trigger.aws.clients import make_clients
from tools.local.realm import Realm
from tools.local.server import REGION, LocalAws

from .server import DynamoDbLocal, is_installed

_NUMBERS: Final = itertools.count(1)


@pytest.fixture(scope="session")
def dynamodb_local() -> Iterator[DynamoDbLocal]:
    """A DynamoDB Local, one for all tests."""
    if not is_installed():
        pytest.skip("DynamoDB Local is not installed: make dynamodb-local")
    with DynamoDbLocal() as server:
        yield server


class Database(contextlib.ExitStack):
    """A server that answers as DynamoDB, and clients of it as the function makes them."""

    def __init__(self, server: Any) -> None:
        super().__init__()
        self.client = server.client
        self.endpoint = str(server.endpoint)

    def function_client(self) -> Any:
        """Make a client of DynamoDB, with a connection of its own."""
        clients = make_clients(
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        for client in clients:
            self.callback(client.close)
        return clients[0]


@pytest.fixture(params=["aws", "dynamodb_local"])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """Each of the two servers in turn."""
    with Database(request.getfixturevalue(request.param)) as database:
        yield database


@pytest.fixture
def realm(aws: LocalAws, database: Database) -> Realm:
    """A realm of the test's own: tables on the database, queues on ministack."""

    both: Any = SimpleNamespace(
        client=lambda service: (database if service == "dynamodb" else aws).client(service)
    )
    realm = Realm(both, f"both{next(_NUMBERS)}")
    realm.make(["core", "web"])
    realm.make_triggers_table()
    return realm

"""Any object key, by every route, arrives in the dispatch exactly as it is."""

from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lava_s3trigger.handler import Function
from lava_s3trigger.settings import Settings

from .aws_in_memory import CannedRealm, Endpoint
from .build import eventbridge_event, job_entry, s3_record, trigger_entry
from .routes import ROUTES, Route, of_eventbridge, of_s3

pytestmark = pytest.mark.usefixtures("ample_time")

# What a DynamoDB key can hold: the rendered job id is one.
KEYS = st.text(min_size=1).filter(lambda key: len(key.encode()) <= 1024)


class KeyedFunction:
    """A function whose trigger has the key in names and values, and its realm."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.realm: CannedRealm = endpoint.realm("keys", ["core"])
        self.realm.triggers.put(
            trigger_entry(
                "t-1",
                "*",
                job_id="{{ key }}",
                globals={"_{{ key }}": "{{ key }}"},
                parameters={"{{ key }}": ["{{ info.key }}", {"deep": "<{{ key }}>"}]},
            )
        )
        self.function = Function(Settings(realm="keys", log_level=60), *endpoint.clients)

    def dispatched(self, payload: Any, key: str) -> Any:
        """Return the one message that a payload causes, with the key as its job."""
        self.realm.jobs.put(job_entry(key))
        assert self.function(payload) is None
        (message,) = self.realm.queue("core").take()
        return message.json


@pytest.fixture
def function(endpoint: Endpoint) -> KeyedFunction:
    return KeyedFunction(endpoint)


@pytest.mark.parametrize("route", ROUTES.values(), ids=list(ROUTES))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=KEYS, is_s3=st.booleans())
def test_any_key_arrives_unchanged(
    function: KeyedFunction, route: Route, *, key: str, is_s3: bool
) -> None:
    what = (
        of_s3(s3_record(key=quote_plus(key)))
        if is_s3
        else of_eventbridge(eventbridge_event(key=key))
    )
    message = function.dispatched(route.payload(what), key)
    assert message["job_id"] == key
    assert message["globals"] == {f"_{key}": key}
    assert message["parameters"] == {key: [key, {"deep": f"<{key}>"}]}

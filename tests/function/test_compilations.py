"""How often templates are compiled: that costs far more than rendering."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest
from jinja2 import Environment

from tests.build import direct, record

if TYPE_CHECKING:
    from tests.function.harness import Harness

TEMPLATES: Final[dict[str, Any]] = {
    "parameters": {"key": "{{ key }}"},
    "globals": {"bucket": "{{ bucket }}"},
}


class TestCompilations:
    """A template is compiled once for as long as its trigger is cached."""

    @pytest.fixture
    def compiled(self, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
        """The sources that Jinja compiles from now on."""
        compiled: list[Any] = []
        compile_ = Environment.compile

        def count(self: Environment, source: Any, *args: Any, **more: Any) -> Any:
            compiled.append(source)
            return compile_(self, source, *args, **more)

        monkeypatch.setattr(Environment, "compile", count)
        return compiled

    def test_each_document_is_compiled_once(self, harness: Harness, compiled: list[Any]) -> None:
        harness.trigger(**TEMPLATES)
        function = harness.function(cache_ttl=60.0)
        function(direct(record("in/first")))
        assert len(compiled) == len(TEMPLATES)
        for start in range(0, 1000, 100):
            function(direct(*(record(f"in/{n}") for n in range(start, start + 100))))
        assert len(compiled) == len(TEMPLATES)
        assert len(harness.core.messages) == 1001
        harness.clock.now += 60
        function(direct(record("in/last")))
        assert len(compiled) == 2 * len(TEMPLATES)

    def test_a_trigger_that_does_not_match_is_not_compiled(
        self, harness: Harness, compiled: list[Any]
    ) -> None:
        harness.trigger(**TEMPLATES)
        harness.trigger("another", prefix="out", **TEMPLATES)
        harness.function()(direct(record(), record("neither/1.csv")))
        assert len(compiled) == len(TEMPLATES)

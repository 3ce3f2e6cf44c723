"""How often templates are compiled: that costs far more than rendering."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import pytest
from jinja2 import Environment

from tests.payloads import direct, record

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

    def test_plain_values_are_not_compiled(self, harness: Harness, compiled: list[Any]) -> None:
        harness.trigger(parameters={"plain": "text"})
        harness.function()(direct(record()))
        assert len(harness.core.messages) == 1
        assert not compiled

    def test_a_trigger_that_does_not_match_is_not_compiled(
        self, harness: Harness, compiled: list[Any]
    ) -> None:
        harness.trigger(**TEMPLATES)
        harness.trigger("another", prefix="out", **TEMPLATES)
        harness.function()(direct(record(), record("neither/1.csv")))
        assert len(compiled) == len(TEMPLATES)


EVERYDAY: Final = {
    "a division": "{{ info.size // 1024 }}",
    "a month with two digits": "{{ '%02d' % info.event_time.month }}",
    "a regular expression": r"{{ utils.re.sub('\d+', 'n', key) }}",
    "a date": "{{ utils.date(2026, 3, 14).isoformat() }}",
    "a macro": "{% macro up(x) %}{{ x|upper }}{% endmacro %}{{ up(key) }}",
}


class TestProcesses:
    """Everyday templates are rendered in the function's own process."""

    @pytest.mark.parametrize("template", EVERYDAY.values(), ids=EVERYDAY)
    def test_an_everyday_template_starts_no_process(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch, template: str
    ) -> None:
        monkeypatch.setattr(os, "fork", lambda: pytest.fail("a process was started"))
        harness.trigger(parameters={"key": "{{ key }}", "made": template})
        assert harness.function()(direct(record())) is None
        assert harness.keys() == ["in/1.csv"]

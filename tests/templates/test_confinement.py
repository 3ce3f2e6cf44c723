"""Where and how conditions and templates run: what ends them, and what is said of it."""

import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from lava_s3trigger.conditions import KINDS, condition
from lava_s3trigger.decision import decide
from lava_s3trigger.errors import UserError
from lava_s3trigger.templates import documents, limits
from lava_s3trigger.templates.confinement import MAX_ABORTS, Confinement
from lava_s3trigger.templates.documents import Document, RenderingError, variables
from lava_s3trigger.triggers import BrokenTrigger, Trigger
from tests.build import AnyJob, Triggers, s3_event, trigger
from tests.decisions import dispatches, ended

GIVE_UP: Final = 10.0
ENDLESS: Final = Document(
    "{% for a in range(2000) %}{% for b in range(2000) %}{% endfor %}{% endfor %}"
)
TOO_LONG: Final = "rendering aborted: it took longer than 1 s"
TOO_MUCH: Final = "it took too much memory"


def run_on() -> bool:
    end = time.monotonic() + GIVE_UP
    while time.monotonic() < end:
        pass
    return True


def hog() -> Any:
    return [bytearray(40 * 1024 * 1024) for _ in range(8)]


def aborted(confinement: Confinement, test: Callable[[], bool], render: Callable[[], Any]) -> str:
    with pytest.raises(UserError) as caught:
        confinement.run(test, render)
    return str(caught.value)


class TestRun:
    """Conditions and templates run within one bound."""

    def test_what_is_rendered_comes_back_if_the_conditions_hold(self) -> None:
        assert Confinement().run(lambda: True, lambda: {"a": 1}) == {"a": 1}
        assert Confinement().run(lambda: False, lambda: pytest.fail("rendered")) is None

    def test_what_takes_too_long_is_aborted(self) -> None:
        assert aborted(Confinement(), lambda: True, run_on) == TOO_LONG
        assert aborted(Confinement(), run_on, dict) == TOO_LONG

    def test_an_error_passes_through(self) -> None:
        def fail() -> None:
            raise UserError("parameters: x")

        assert aborted(Confinement(), lambda: True, fail) == "parameters: x"


class TestSetAside:
    """A trigger that was aborted too often is not rendered any more."""

    def test_it_is_not_rendered_but_its_conditions_are_tested(self) -> None:
        spent = Confinement()
        for _ in range(MAX_ABORTS):
            assert aborted(spent, lambda: True, hog) == f"rendering aborted: {TOO_MUCH}"

        said = aborted(spent, lambda: True, lambda: pytest.fail("rendered"))
        assert said == (
            f"trigger set aside after 3 aborted renderings; last: rendering aborted: {TOO_MUCH}"
        )
        assert spent.run(lambda: False, dict) is None

    def test_unless_testing_them_is_what_was_aborted(self) -> None:
        confinement = Confinement()
        for _ in range(MAX_ABORTS):
            aborted(confinement, lambda: bool(hog()), dict)
        said = aborted(confinement, lambda: bool(pytest.fail("tested")), dict)
        assert said.startswith("trigger set aside after 3")

    def test_errors_of_a_template_do_not_count(self) -> None:
        confinement = Confinement()
        document = Document("{{ 1 / 0 }}")
        for _ in range(2 * MAX_ABORTS):
            with pytest.raises(RenderingError):
                confinement.run(lambda: True, lambda: document.render(variables(s3_event())))


@pytest.mark.usefixtures("ample_time")
def test_decisions_that_keep_much_leave_their_neighbours_alone() -> None:
    loop = "{% for i in range(20) %}{% for j in range(1000) %}"
    greedy = Document({"v": [loop, *([[]] * 10), "{% endfor %}{% endfor %}"]})
    kept = len(greedy.render(variables(s3_event()))["v"]) * sys.getsizeof([])
    triggers = [
        Trigger(f"greedy {n}", "*", True, job_ids=(Document("load"),), parameters=greedy)
        for n in range(2 * limits.MEMORY // kept)
    ]

    with limits.listening():
        decision = decide(s3_event(), Triggers(*triggers), AnyJob())

    assert ended(decision, "user_error") == []
    assert len(dispatches(decision)) == len(triggers)


class TestRead:
    """Conditions are read, and compiled, within a bound."""

    @pytest.fixture(autouse=True)
    def _register(self) -> Iterator[None]:
        before = dict(KINDS)
        condition("slow_to_read", of="key", read=lambda _: run_on())(lambda _event, _read: True)
        condition("slow_to_test", of="key", read=str)(lambda _event, _read: run_on())
        yield
        KINDS.clear()
        KINDS.update(before)

    def test_one_that_takes_too_long_is_a_bad_entry(self) -> None:
        broken = trigger(if_slow_to_read="x")
        assert isinstance(broken, BrokenTrigger)
        assert broken.reason == "bad entry: reading conditions aborted: it took longer than 3 s"

    def test_errors_before_one_that_takes_too_long_are_kept(self) -> None:
        broken = trigger(if_size_gt="big", if_fnmatch="*", if_slow_to_read="x", if_unread="x")

        assert isinstance(broken, BrokenTrigger)
        assert [(each.code, each.field) for each in broken.errors] == [
            ("not_a_size", "if_size_gt"),
            ("reading_aborted", "if_slow_to_read"),
        ]

    def test_testing_is_within_a_bound_whatever_the_kind(self) -> None:
        slow = trigger(if_slow_to_test="x")
        assert isinstance(slow, Trigger)
        of = s3_event()
        said = aborted(slow.confinement, lambda: slow.conditions[0].holds(of), dict)
        assert said == TOO_LONG

    @pytest.mark.parametrize(
        ("pattern", "max_calls"), [("in/{}/*_[0-9]?.csv", 1500), ("in/{}/*_9.csv", 20)]
    )
    def test_many_patterns_are_read_in_few_calls(self, pattern: str, max_calls: int) -> None:
        """A function of 256 MB has a seventh of a processor, and three seconds for them."""
        calls = 0

        def count(*_: Any) -> None:
            nonlocal calls
            calls += 1

        patterns = [pattern.format(number) for number in range(800)]
        before = sys.getprofile()
        sys.setprofile(count)
        try:
            read = trigger(if_fnmatch=patterns)
        finally:
            sys.setprofile(before)

        assert isinstance(read, Trigger)
        assert calls < len(patterns) * max_calls


class TestCompiling:
    """Templates are compiled once, in a time of their own."""

    def render(self, document: Document, confinement: Confinement | None = None) -> Any:
        return (confinement or Confinement()).run(
            lambda: True, lambda: document.render(variables(s3_event()))
        )

    def test_the_longest_entry_renders_or_says_why_not(self) -> None:
        """An item of DynamoDB has at most 400 KB."""
        long = Document({"a": "x" * 200_000 + "{{ key }}" + "y" * 199_000})
        many = Document([f"{n} {{{{ key }}}} {'x' * 200}" for n in range(1800)])

        assert len(self.render(long)["a"]) > 399_000
        try:
            assert len(self.render(many)) == 1800
        except RenderingError as error:
            assert "it cannot be compiled: it took" in str(error)  # noqa: PT017 - either will do

    def test_one_that_cannot_be_compiled_in_time_is_tried_once(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        document = Document("{{ 1" + " + 1" * 400 + " }}" + "{% if a %}{{ b }}{% endif %}" * 20000)
        for _ in range(2):
            with pytest.raises(RenderingError, match="it cannot be compiled: "):
                self.render(document)
            monkeypatch.setattr(documents, "compile_bounded", lambda _: pytest.fail("tried again"))

    def test_templates_of_one_trigger_share_the_time(self) -> None:
        # None alone takes all of it, however busy the machine is.
        slow = [f"{{% if a %}}{{{{ {n} }}}}{{% endif %}}" * 120 for n in range(500)]
        known, all_of_it = variables(s3_event()), [Document(source) for source in slow]

        said = aborted(
            Confinement(), lambda: True, lambda: [each.render(known) for each in all_of_it]
        )

        assert said.startswith("rendering aborted: it took longer than")

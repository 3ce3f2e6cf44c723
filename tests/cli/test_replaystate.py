"""The state of a replay outlives what happens to the process."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from lava_s3trigger.cli.deployed.aws import pieces
from lava_s3trigger.cli.errors import COULD_NOT_TELL, WRONG_USAGE, CommandError
from lava_s3trigger.cli.replay.state import Count, ReplayState, Settled, Status, default_path

HOSTILE: Final = ["a b+c", "%2F", "\x1b[2J", "'; DROP TABLE objects; --", "\u202e", "a\0b", "é" * 9]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "replay.sqlite"


@pytest.fixture
def state(path: Path) -> Iterator[ReplayState]:
    with contextlib.closing(ReplayState(path)) as made:
        yield made


def fill(state: ReplayState, number: int = 5) -> None:
    rows = (("b", f"k{each}", each, 1.5, "ObjectCreated:Put") for each in range(number))
    assert sum(state.add(rows)) == number


class TestPlan:
    """The plan is in the file."""

    def test_an_object_is_there_once(self, state: ReplayState) -> None:
        fill(state, 3)
        assert sum(state.add([("b", "k1", 9, 9.0, "x"), ("c", "k1", 9, 9.0, "x")])) == 1
        objects = [(each.bucket, each.key, each.size) for each in state.objects()]
        assert objects == [("b", "k0", 0), ("b", "k1", 1), ("b", "k2", 2), ("c", "k1", 9)]

    def test_any_key_comes_back_as_it_was(self, state: ReplayState) -> None:
        assert sum(state.add(("b", key, 1, 1.0, "x") for key in HOSTILE)) == len(HOSTILE)
        assert [each.key for each in state.objects()] == HOSTILE

    def test_objects_can_be_dropped_while_they_are_read(self, state: ReplayState) -> None:
        fill(state, 3000)
        for chunk in pieces(state.objects(), 1000):
            state.change(dropped=[each.id for each in chunk if each.size % 2])
        assert [each.size for each in state.objects()] == list(range(0, 3000, 2))

    def test_counts_add_up_and_keep_three_examples(self, state: ReplayState) -> None:
        for number in range(3):
            state.change(counted=[Count("t", "j", "dispatched", 2, [f"a{number}", f"b{number}"])])
        state.change(counted=[Count(None, None, "skipped", 1, ["x"])])
        assert list(state.counted()) == [
            Count(None, None, "skipped", 1, ["x"]),
            Count("t", "j", "dispatched", 6, ["a0", "b0", "a1"]),
        ]

    def test_a_cleared_state_is_empty(self, state: ReplayState) -> None:
        fill(state)
        state.note(phase="begun")
        state.clear(0.0)
        assert (state.get("phase"), list(state.objects())) == (None, [])

    @pytest.mark.parametrize(
        ("hours", "forgets_all", "is_known"),
        [(1, False, True), (23, False, True), (25, False, False), (1, True, False)],
    )
    def test_what_was_handed_over_is_known_for_a_day(
        self, state: ReplayState, hours: int, *, forgets_all: bool, is_known: bool
    ) -> None:
        state.note(handed_at=1000.0)
        list(state.add([("b", "sent", 1, 0.0, "e"), ("b", "not", 1, 0.0, "e")]))
        state.settle([Settled(1, Status.SENT)])
        state.clear(2000.0)
        state.clear(1000.0 + hours * 3600, forgets_all=forgets_all)
        assert state.was_handed_over("b", "sent", 900.0) is is_known
        assert not state.was_handed_over("b", "sent", 1100.0)
        assert not state.was_handed_over("b", "not", 900.0)

    def test_the_prefix_of_a_bucket_is_that_of_all_its_keys(self, state: ReplayState) -> None:
        keys = ["in/b/2", "in/b/\U0001f600", "in/a", "in/b/\uffee"]
        list(state.add(("b", key, 1, 0.0, "e") for key in keys))
        list(state.add([("c", "x", 1, 0.0, "e")]))
        assert state.prefixes() == {"b": "in/", "c": "x"}

    def test_a_dispatch_before_the_object_changed_does_not_count(self, state: ReplayState) -> None:
        state.note_logged([("b", "k", "t", "j", 10.0), ("b", "k", "t", "i", 5.0)])
        state.note_logged([("b", "k", "t", "j", 7.0)])
        assert state.logged("b", "k", 6.0) == {("t", "j")}
        assert state.logged("b", "k", 11.0) == frozenset()


class TestEnds:
    """However a process ends, the next one knows what may have been sent."""

    def test_an_interrupt_within_a_change_undoes_it(self, state: ReplayState) -> None:
        fill(state)

        def outcomes() -> Iterator[Settled]:
            yield Settled(1, Status.SENT)
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            state.settle(outcomes())
        assert state.numbers()[Status.SENT] == 0

    def test_a_report_settles_only_what_is_being_sent(self, state: ReplayState) -> None:
        fill(state)
        state.settle(Settled(each, Status.BEING_SENT) for each in (1, 2))
        state.settle_named([(Status.SENT, None, "b", "k0"), (Status.FAILED, "no", "b", "k4")])
        found = state.numbers()
        assert (found[Status.SENT], found[Status.FAILED]) == (1, 0)


class TestFile:
    """What cannot be used as a state is one line."""

    def test_nobody_else_reads_it(self, state: ReplayState) -> None:
        assert state.path.stat().st_mode & 0o777 == 0o600

    def test_two_replays_do_not_share_it(self, state: ReplayState) -> None:
        with pytest.raises(CommandError, match="another replay is using it") as raised:
            ReplayState(state.path)
        assert raised.value.status == WRONG_USAGE

    def test_another_file_is_left_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "keys.csv"
        path.write_text("bucket,key\n" * 500)
        with pytest.raises(CommandError, match="not the state of a replay"):
            ReplayState(path)
        assert path.read_text() == "bucket,key\n" * 500

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ("PRAGMA application_id = 0", "not the state of a replay"),
            ("PRAGMA user_version = 99", "layout 99"),
        ],
    )
    def test_another_database_is_left_alone(self, path: Path, change: str, said: str) -> None:
        ReplayState(path).close()
        with contextlib.closing(sqlite3.connect(path)) as other:
            other.execute(change)
        with pytest.raises(CommandError, match=said):
            ReplayState(path)

    def test_a_place_that_cannot_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(CommandError) as raised:
            ReplayState(tmp_path / "file" / "x")
        assert raised.value.status == COULD_NOT_TELL
        assert "\n" not in str(raised.value)

    @pytest.mark.parametrize(
        ("configured", "folder"),
        [
            ("/var/state", "/var/state"),
            ("", "/home/me/.local/state"),
            ("relative", "/home/me/.local/state"),
        ],
    )
    def test_it_is_below_the_folder_of_states(
        self, monkeypatch: pytest.MonkeyPatch, configured: str, folder: str
    ) -> None:
        monkeypatch.setenv("XDG_STATE_HOME", configured)
        monkeypatch.setenv("HOME", "/home/me")
        assert default_path("f") == Path(folder) / "lava-s3trigger" / "replay-f.sqlite"

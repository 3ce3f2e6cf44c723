"""A process of its own: what comes back of it, and that nothing else does."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from lava_s3trigger.errors import ServiceError, UserError
from lava_s3trigger.templates import isolation
from lava_s3trigger.templates.isolation import isolated
from lava_s3trigger.templates.limits import MEMORY, SECONDS, bounded

if sys.platform != "linux":
    pytest.skip("bounds hold on Linux, where Lambda runs", allow_module_level=True)

import resource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LATE: Final = SECONDS + 4.0
"""Seconds that ending something may take on a machine that is busy."""
# Where a bound does not hold, a test must fail, and not run for ever.
GIVE_UP: Final = 10.0
GRACE: Final = isolation.LONGEST
PATIENT: Final = 20.0
"""Seconds for a child to begin and to answer, on a machine that is busy."""


def _fds() -> list[str]:
    return sorted(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a path would be made of each


def _fail(error: BaseException) -> None:
    raise error


def _crash(number: int) -> None:
    signal.signal(number, signal.SIG_DFL)  # pytest's would tell where
    os.kill(os.getpid(), number)


def _run_on() -> None:
    end = time.monotonic() + GIVE_UP
    while time.monotonic() < end:
        pass


def _hang_in_c() -> int:
    # From the end, CPython compares at each place: some 10 s in one call.
    return ("a" * 400_000).rfind("ab" + "a" * 100_000)


def _deaf() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals) - {signal.SIGKILL})
    threading.Event().wait(GIVE_UP)  # no processor time, so no limit but the parent's


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for a child that gets no processor for a while."""
    monkeypatch.setattr(isolation, "LONGEST", PATIENT)


def _state() -> list[Any]:
    # Zombies are among these; servers of other tests may be, too.
    children = {
        child
        for each in Path("/proc/self/task").iterdir()
        for child in (each / "children").read_text().split()
    }
    handler, limit = signal.getsignal(signal.SIGALRM), resource.getrlimit(resource.RLIMIT_AS)
    return [children, _fds(), handler, limit]


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Whatever became of the work, no child, no file and no alarm is left."""
    with bounded():
        pass  # which keeps a file open, once it was needed
    before = _state()
    yield
    assert _state() == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


class TestResult:
    """What the work gives is what comes back."""

    @pytest.mark.parametrize(
        "value",
        [
            None,
            "",
            'caf\u00e9 \U0001f680 \ud800 \x00 " \\ \n',
            [["load"], {"a": [1, 2.5, True, None]}, {}],
            {"result": 1, "error": ["MistakeError", "x"]},
            {"error": ["TimeoutError", "x"]},
            0,
        ],
    )
    def test_it_comes_back(self, value: Any) -> None:
        assert isolated(lambda: value) == value

    def test_it_may_be_longer_than_a_pipe_holds(self) -> None:
        value = ["x" * 1024 * 1024] * 3

        assert isolated(lambda: value) == value

    def test_the_work_is_done_in_another_process(self) -> None:
        assert isolated(os.getpid) != os.getpid()
        assert isolated(os.getppid) == os.getpid()

    def test_it_sees_what_was_there_before(self) -> None:
        known = {"key": "in/a.csv"}

        assert isolated(lambda: known["key"].split("/")) == ["in", "a.csv"]


class TestErrors:
    """What the work raises is raised; else it is told how it ended."""

    @pytest.mark.parametrize(
        "error",
        [
            UserError('parameters: "\u00e9"\n'),
            TimeoutError("its own"),
            MemoryError("its own"),
            MemoryError(),
        ],
        ids=repr,
    )
    def test_it_is_raised(self, error: Exception) -> None:
        with pytest.raises(type(error)) as caught:
            isolated(lambda: _fail(error))

        assert type(caught.value) is type(error)
        assert str(caught.value) == str(error)

    @pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS])
    def test_a_crash_is_named_by_its_signal(self, number: signal.Signals) -> None:
        with pytest.raises(ChildProcessError, match=number.name):
            isolated(lambda: _crash(number))

    def test_so_is_being_killed(self) -> None:
        with pytest.raises(ChildProcessError, match="by SIGKILL"):
            isolated(lambda: os.kill(os.getpid(), signal.SIGKILL))

    def test_using_up_its_processor_time_is_taking_too_long(self) -> None:
        with pytest.raises(TimeoutError, match="longer than 1 s"):
            isolated(lambda: os.kill(os.getpid(), signal.SIGXCPU))

    @pytest.mark.parametrize(
        "work",
        [
            pytest.param(lambda: _fail(KeyError("x")), id="error"),
            pytest.param(lambda: _fail(KeyboardInterrupt()), id="interrupt"),
            pytest.param(lambda: sys.exit(1), id="exit"),
            pytest.param(lambda: os._exit(0), id="exit-at-once"),
            pytest.param(object, id="no-json"),
        ],
    )
    def test_what_gives_no_answer_ended_its_process(self, work: Callable[[], Any]) -> None:
        with pytest.raises(ChildProcessError, match="ended its process"):
            isolated(work)

    def test_half_an_answer_is_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(isolation, "_answer", lambda _: '{"result": [1, ')

        with pytest.raises(ChildProcessError, match="ended its process, "):
            isolated(lambda: [1, 2])

    def test_a_fork_that_fails_is_an_error_of_the_service(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "fork", lambda: _fail(BlockingIOError(11, "try again")))

        with pytest.raises(ServiceError, match=r"no process to render in: .*try again"):
            isolated(lambda: 1)


class TestBounds:
    """Work is ended, whatever it does."""

    @pytest.mark.parametrize("work", [_run_on, _hang_in_c, _deaf])
    def test_what_takes_too_long_is_ended(
        self, work: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(isolation, "LONGEST", GRACE)
        started = time.monotonic()

        with pytest.raises(TimeoutError, match="longer than 1 s"):
            isolated(work)

        assert time.monotonic() - started < LATE

    def test_what_takes_too_much_memory_is_ended(self) -> None:
        with pytest.raises(MemoryError):
            isolated(lambda: len(bytearray(2 * MEMORY)))

    def test_an_answer_without_end_is_not_read_to_its_end(self) -> None:
        before = set(_fds())

        def flood() -> None:
            end = time.monotonic() + GIVE_UP
            pipes = [int(fd) for fd in set(_fds()) - before if _is_pipe(int(fd))]
            while time.monotonic() < end:
                for fd in pipes:
                    with contextlib.suppress(OSError):
                        os.write(fd, b" " * 65536)

        with pytest.raises(TimeoutError):
            isolated(flood)

    def test_should_no_one_end_it_the_system_does(self) -> None:
        limits = isolated(lambda: [resource.getrlimit(resource.RLIMIT_CPU)])

        assert limits == [[2, 3]]

    def test_a_crash_leaves_no_core(self) -> None:
        assert isolated(lambda: resource.getrlimit(resource.RLIMIT_CORE)) == [0, 0]

    def test_after_one_that_was_ended_the_next_is_done(self) -> None:
        with pytest.raises(TimeoutError):
            isolated(_run_on)

        assert isolated(lambda: 1) == 1

    def test_after_a_bound_of_the_parent_it_is_done(self) -> None:
        with bounded():
            pass

        assert isolated(lambda: 1) == 1


def _is_pipe(fd: int) -> bool:
    try:
        return "pipe" in str(Path(f"/proc/self/fd/{fd}").readlink())
    except OSError:
        return False


class TestApart:
    """But for the answer, nothing leaves the process."""

    def test_nothing_it_says_is_seen(self, capfd: pytest.CaptureFixture[str]) -> None:
        def talk() -> str:
            print("said")  # noqa: T201
            print("complained", file=sys.stderr)  # noqa: T201
            sys.__stdout__.write("said")  # type: ignore[union-attr]
            sys.__stdout__.flush()  # type: ignore[union-attr]
            os.write(1, b"written")
            os.write(2, b"written")
            os.system("echo run; echo run >&2")
            return "done"

        assert isolated(talk) == "done"

        assert capfd.readouterr() == ("", "")

    def test_nothing_it_says_in_a_crash_is_seen(self, capfd: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(ChildProcessError):
            isolated(lambda: _fail(KeyError("a traceback")))

        assert capfd.readouterr() == ("", "")

    def test_nothing_is_there_to_read(self) -> None:
        assert isolated(lambda: [sys.stdin.read(), os.read(0, 10).decode()]) == ["", ""]

    def test_what_was_about_to_be_written_is_written_once(self, tmp_path: Path) -> None:
        path = tmp_path / "log"
        with path.open("w") as file:
            file.write("one line\n")  # is still in the buffer
            isolated(lambda: 1)

        assert path.read_text() == "one line\n"

    def test_what_runs_at_the_end_of_a_process_does_not_run(self, tmp_path: Path) -> None:
        path = tmp_path / "said"

        def clean_up() -> int:
            try:
                return 1
            finally:
                threading._register_atexit(path.touch)  # type: ignore[attr-defined] # noqa: SLF001
                import atexit  # noqa: PLC0415

                atexit.register(path.touch)

        assert isolated(clean_up) == 1

        assert not path.exists()

    def test_what_it_changes_is_not_changed(self) -> None:
        known: dict[str, Any] = {"a": 1}
        before = [dict(os.environ), Path.cwd(), sys.getrecursionlimit()]

        def change() -> Any:
            known["a"] = 2
            os.environ["CHANGED"] = "x"
            os.chdir("/")
            sys.setrecursionlimit(500)
            signal.signal(signal.SIGALRM, signal.SIG_IGN)
            logging.getLogger("lava_s3trigger").setLevel(1)
            return known

        level = logging.getLogger("lava_s3trigger").level

        assert isolated(change) == {"a": 2}

        assert known == {"a": 1}
        assert [dict(os.environ), Path.cwd(), sys.getrecursionlimit()] == before
        assert logging.getLogger("lava_s3trigger").level == level

    def test_a_connection_of_the_parent_stays_open(self) -> None:
        ours, theirs = os.pipe()
        try:
            isolated(lambda: 1)
            os.write(theirs, b"still here")
            assert os.read(ours, 99) == b"still here"
        finally:
            os.close(ours)
            os.close(theirs)


class TestLeftBehind:
    """However often, and however it ends; see also `_nothing_left`."""

    @pytest.mark.parametrize(
        ("work", "error"),
        [
            pytest.param(lambda: 1, None, id="result"),
            pytest.param(lambda: _fail(UserError("x")), UserError, id="mistake"),
            pytest.param(lambda: _crash(signal.SIGSEGV), ChildProcessError, id="crash"),
        ],
    )
    def test_no_files_and_no_children(
        self, work: Callable[[], Any], error: type[Exception] | None
    ) -> None:
        before = _fds()

        for _ in range(50):
            with pytest.raises(error) if error else contextlib.nullcontext():
                isolated(work)

        assert _fds() == before

    def test_nor_where_there_is_no_process(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "fork", lambda: _fail(BlockingIOError(11, "try again")))
        before = _fds()

        for _ in range(50):
            with pytest.raises(ServiceError):
                isolated(lambda: 1)

        assert _fds() == before


class TestThreads:
    """Off the main thread it works as on it; and bounds hold, unlike those of `limits`."""

    @pytest.mark.parametrize(
        ("work", "expected"),
        [
            pytest.param(lambda: [1], [1], id="result"),
            pytest.param(_run_on, "TimeoutError", id="time"),
            pytest.param(lambda: len(bytearray(2 * MEMORY)), "MemoryError", id="memory"),
        ],
    )
    def test_it_is_the_same_there(self, work: Callable[[], Any], expected: Any) -> None:
        found: list[Any] = []

        def run() -> None:
            try:
                found.append(isolated(work))
            except Exception as error:  # noqa: BLE001 - it is what is asked for
                found.append(type(error).__name__)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()

        assert json.dumps(found) == json.dumps([expected])

    def test_with_other_threads_no_warning_is_given(self, recwarn: pytest.WarningsRecorder) -> None:
        done = threading.Event()
        thread = threading.Thread(target=done.wait)
        thread.start()
        try:
            assert isolated(lambda: 1) == 1
        finally:
            done.set()
            thread.join()

        assert not recwarn.list

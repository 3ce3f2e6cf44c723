"""Fixtures that all tests share: servers, realms on them, and a clock."""

import functools
import itertools
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from botocore.loaders import JSONFileLoader, Loader
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from lava_s3trigger.log import LOGGER, configure_logging
from lava_s3trigger.templates import limits
from tests.aws_in_memory import Endpoint
from tests.clock import Clock
from tests.examples import FEW
from tests.release import Release, copy_sources, make_release
from tools.local.realm import Realm
from tools.local.server import LocalAws

_NUMBERS: Final = itertools.count(1)

# The same examples each time, so that a change is judged by what it changes. With
# --hypothesis-profile=searching, new ones. No property fails because a machine is busy.
settings.register_profile(
    "all", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(FEW, settings.get_profile("all"), max_examples=20)
settings.register_profile("searching", settings.get_profile("all"), derandomize=False)
settings.load_profile("all")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse `slow` without a reason."""
    for item in items:
        slow = item.get_closest_marker("slow")
        if slow and not (len(slow.args) == 1 and isinstance(slow.args[0], str) and slow.args[0]):
            raise pytest.UsageError(f"{item.nodeid}: slow needs a reason, as in slow('a minute')")


@pytest.fixture(autouse=True, scope="session")
def _alarms_in_callbacks() -> Iterator[None]:
    """Report no alarm of a template that interrupts a callback of the garbage collector.

    Python ignores what such a callback raises, and the alarm comes again shortly after.
    """
    report = sys.unraisablehook

    def report_others(unraisable: Any) -> None:
        if unraisable.exc_type is not limits._TimeUpError:  # noqa: SLF001
            report(unraisable)

    sys.unraisablehook = report_others
    yield
    sys.unraisablehook = report


_OF_STACK: Final = (
    *("apply", "connect", "dead_letters", "doctor", "explain", "failures", "log", "replay"),
    *("role", "routes", "s3_batch", "shared_duplicates", "smoke", "ui"),
)
_OF_PAGES: Final = ("local", "migrating", "operation", "operator", "removing")
SERVERS: Final = {
    f"tests/e2e/test_{name}.py": server
    for server, names in (("iam_aws", _OF_STACK), ("empty_aws", _OF_PAGES))
    for name in names
}
"""The modules of deployed tests that share a server, and the fixture that is the server."""


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Hands tests to processes by class or module, and those that share a server together."""

    def _split_scope(self, nodeid: str) -> str:
        scope: str = super()._split_scope(nodeid)
        return SERVERS.get(nodeid.partition("::")[0], scope)

    def remove_node(self, node: Any) -> str | None:
        """Requeue the tests that a crashed worker has not run; return the test that crashed it.

        pytest-xdist also requeues that test, which then crashes the next worker, and finished
        tests, which the other workers wait for forever (its issue 1378 and pull request 1371).
        """
        work = self.assigned_work[node]
        left = [test for unit in work.values() for test, is_done in unit.items() if not is_done]
        units: dict[str, dict[str, bool]] = {}
        for test in left[1:]:
            units.setdefault(self._split_scope(test), {})[test] = False
        self.assigned_work[node] = units
        super().remove_node(node)
        return left[0] if left else None

    def schedule(self) -> None:
        """Give a worker that replaces another at least two tests: it does not start with one.

        See issue 1327 of pytest-xdist.
        """
        super().schedule()
        for node in self.nodes:
            self._reschedule(node)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling | None:
    """Start each server of the deployed tests once: sessions of pytest-xdist are processes."""
    return Scheduling(config, log) if config.getoption("dist") == "loadscope" else None


@pytest.fixture(autouse=True, scope="session")
def _coverage_without_lock() -> None:
    """Have coverage take no lock: an alarm of a template that interrupts it leaves it locked.

    All functions that are called for the first time after that would wait for it, forever.
    The lock is for threads that trace at the same time; Python's own lock is enough here.
    """
    if "coverage" in sys.modules:
        running = sys.modules["coverage"].Coverage.current()
        collector = getattr(running, "_collector", None)
        if collector is not None:
            assert hasattr(collector, "data_lock"), "coverage has changed: look for its lock"
            collector.data_lock = None


@pytest.fixture(autouse=True, scope="session")
def _service_models_read_once() -> Iterator[None]:
    """Read the descriptions of AWS services once: each session of boto3 reads them again.

    A test makes a session or more, as a command does; reading took most of its time.
    """
    files, services_at = JSONFileLoader(), Loader.list_available_services

    @functools.cache
    def services(paths: tuple[str, ...], type_name: str) -> list[str]:
        found: list[str] = services_at(Loader([*paths], files, None, False), type_name)
        return found

    def services_of(loader: Loader, type_name: str) -> list[str]:
        return services(tuple(loader.search_paths), type_name)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Loader, "list_available_services", services_of)
        for name in ("exists", "load_file"):
            read = functools.cache(getattr(files, name))
            patched.setattr(JSONFileLoader, name, lambda _, path, read=read: read(path))
        yield


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    """Leave the log of the function as a test found it: what it configures is of the process."""
    levels = [(logger, logger.level) for logger in (LOGGER, logging.root)]
    yield
    configure_logging(logging.INFO)
    for logger, level in levels:
        logger.setLevel(level)


@pytest.fixture(scope="session")
def aws() -> Iterator[LocalAws]:
    """A local AWS server, one for all tests."""
    with LocalAws() as server:
        yield server


@pytest.fixture(scope="session")
def shared_endpoint() -> Iterator[Endpoint]:
    """An endpoint that answers as DynamoDB and SQS, one for all tests; use `endpoint`."""
    with Endpoint() as server:
        yield server


@pytest.fixture
def endpoint(shared_endpoint: Endpoint) -> Endpoint:
    """An endpoint that answers as DynamoDB and SQS, with nothing in it yet."""
    shared_endpoint.reset()
    return shared_endpoint


@pytest.fixture
def ample_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give templates a minute, where their bound of time is not what is tested.

    It is wall time, of which a busy machine takes a second before a template has begun.
    """
    monkeypatch.setattr(limits.run_bounded, "__defaults__", (60.0, limits.MEMORY))
    monkeypatch.setattr(limits, "COMPILE_SECONDS", 60.0)


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still until the test moves it."""
    return Clock()


@pytest.fixture
def realm(aws: LocalAws) -> Realm:
    """A realm of the test's own, with its tables, and queues for workers core and web."""
    realm = Realm(aws, f"test{next(_NUMBERS)}")
    realm.make(["core", "web"])
    realm.make_triggers_table()
    return realm


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources, in which `release` is made."""
    return copy_sources(tmp_path_factory.mktemp("release") / "sources")


@pytest.fixture(scope="session")
def release(sources: Path) -> Release:
    """A release, one for all tests."""
    done = make_release(sources)
    assert done.returncode == 0, done.stderr
    return Release(sources / "dist")

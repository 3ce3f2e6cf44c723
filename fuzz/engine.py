"""One way of fuzzing under atheris, in its own process: ``python -m fuzz.engine``.

libFuzzer uses SIGALRM for its ``-timeout``, and `lava_s3trigger.templates.limits` uses
it for the limit of rendering. So the engine stops libFuzzer's timer, and the watchdog
thread of faulthandler, which needs neither the signal nor Python, ends a case that
hangs. The limit of the memory applies only while a template runs, when libFuzzer
does not allocate.

A failing case does not end the run: the engine saves the shortest case of each kind of
failure. `State` holds the bytes of the current case, for cases that end the process.
"""

from __future__ import annotations

import argparse
import base64
import faulthandler
import json
import mmap
import signal
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_INPUT_BYTES: Final = 8192
"""Bytes that a case is made from."""
HANG_SECONDS: Final = 60
"""Seconds after which a case counts as hanging."""
_HEAD: Final = struct.Struct("<QQI")


class State:
    """The state of a run, which another process can read after this one died.

    Args:
        file: The file that holds it.
    """

    def __init__(self, file: Path) -> None:
        if not file.exists():
            file.write_bytes(bytes(_HEAD.size + MAX_INPUT_BYTES))
        with file.open("r+b") as opened:
            self._memory = mmap.mmap(opened.fileno(), 0)

    def note(self, data: bytes, *, executed: int, checked: int) -> None:
        """Save the bytes of the current case, and the counts before it."""
        data = data[:MAX_INPUT_BYTES]
        _HEAD.pack_into(self._memory, 0, executed, checked, len(data))
        self._memory[_HEAD.size : _HEAD.size + len(data)] = data

    @property
    def counts(self) -> tuple[int, int]:
        """Number of executions, and number of those that were cases."""
        executed, checked, _ = _HEAD.unpack_from(self._memory)
        return executed, checked

    @property
    def data(self) -> bytes:
        """The bytes of the last case."""
        *_, length = _HEAD.unpack_from(self._memory)
        return self._memory[_HEAD.size : _HEAD.size + length]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m fuzz.engine")
    parser.add_argument("way")
    parser.add_argument("folder", type=Path)
    parser.add_argument("seconds", type=int)
    arguments = parser.parse_args()
    fuzz(arguments.way, arguments.folder, arguments.seconds)


def fuzz(name: str, folder: Path, seconds: int) -> None:
    """Fuzz one way; does not return.

    Args:
        name: Name of the way.
        folder: Folder of the corpus and the results.
        seconds: Time to fuzz.
    """
    import atheris  # noqa: PLC0415 - only in the fuzzer's own environment

    packages = ["lava_s3trigger"]
    if name == "templates-bytes":  # coverage of Jinja finds the grammar
        packages.append("jinja2")
    with atheris.instrument_imports(include=packages):
        # Modules imported before would have no coverage.
        from .findings import failure_kind  # noqa: PLC0415
        from .ways import WAYS  # noqa: PLC0415

    way = WAYS[name]
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(way.seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
    words = folder / "words"
    words.write_text("# libFuzzer refuses an empty file\n" + "".join(map(_quoted, way.words)))
    state = State(folder / "state")
    executed, checked = state.counts
    shortest: dict[str, int] = {}

    def check(case: Any) -> None:
        try:
            way.check(case)
        except Exception as error:  # noqa: BLE001 - any error is a finding
            kind = failure_kind(error)
            if len(data := state.data) < shortest.get(kind, sys.maxsize):
                shortest[kind] = len(data)
                failure = {"error": f"{type(error).__name__}: {error}"}
                failure["data"] = base64.b64encode(data).decode()
                (folder / f"{kind}.json").write_text(json.dumps(failure))

    run = way.runner(check)

    def one(data: bytes) -> int:
        nonlocal executed, checked
        signal.setitimer(signal.ITIMER_REAL, 0)  # libFuzzer starts one even without a timeout
        state.note(data, executed=executed, checked=checked)
        executed += 1
        faulthandler.dump_traceback_later(HANG_SECONDS, exit=True)
        is_case = run(data)
        checked += is_case
        return 0 if is_case else -1  # -1 keeps the bytes out of the corpus

    atheris.Setup([sys.argv[0], *_options(folder, seconds), str(corpus)], one)
    atheris.Fuzz()


def _options(folder: Path, seconds: int) -> Iterable[str]:
    yield f"-max_total_time={seconds}"
    yield f"-max_len={MAX_INPUT_BYTES}"
    yield "-timeout=0"  # see the module's docstring
    yield "-rss_limit_mb=3072"
    yield "-len_control=0"
    yield "-print_final_stats=1"
    yield f"-artifact_prefix={folder}/"
    yield f"-dict={folder / 'words'}"


def _quoted(word: str) -> str:
    """Return a word in the format of libFuzzer's dictionaries."""
    inner = "".join(
        chr(byte) if chr(byte).isalnum() else f"\\x{byte:02x}" for byte in word.encode()
    )
    return f'"{inner}"\n'


if __name__ == "__main__":
    main()

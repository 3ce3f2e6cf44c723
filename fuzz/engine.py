"""One way of fuzzing under atheris, in a process of its own: ``python -m fuzz.engine``.

libFuzzer ends its process itself, and takes SIGALRM for its ``-timeout``; so does
`lava_s3trigger.templates.limits`, for the bounds of rendering. Hence ``-timeout=0``, with which
libFuzzer sets no timer and no handler; what hangs is ended by the thread of
faulthandler instead, which needs neither the signal nor Python. The other bound,
RLIMIT_AS, is lowered only while a template runs, and libFuzzer allocates nothing then.

A case that fails does not end the run: it is noted, the shortest of each manner of
failing. What ends the process is known by the bytes it was at, in `State`.
"""

from __future__ import annotations

import argparse
import base64
import faulthandler
import json
import mmap
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST: Final = 8192
"""Bytes of what a case is made of."""
STUCK: Final = 60
"""Seconds after which a case hangs."""
_HEAD: Final = struct.Struct("<QQI")


class State:
    """What one process notes and another reads, also when the first has died.

    Args:
        file: Where it is.
    """

    def __init__(self, file: Path) -> None:
        if not file.exists():
            file.write_bytes(bytes(_HEAD.size + LONGEST))
        with file.open("r+b") as opened:
            self._memory = mmap.mmap(opened.fileno(), 0)

    def note(self, data: bytes, *, executed: int, checked: int) -> None:
        """Note the bytes that are begun, and how many were before."""
        data = data[:LONGEST]
        _HEAD.pack_into(self._memory, 0, executed, checked, len(data))
        self._memory[_HEAD.size : _HEAD.size + len(data)] = data

    @property
    def counts(self) -> tuple[int, int]:
        """How often bytes were executed, and how often they stood for a case."""
        executed, checked, _ = _HEAD.unpack_from(self._memory)
        return executed, checked

    @property
    def data(self) -> bytes:
        """The bytes that were last begun."""
        *_, length = _HEAD.unpack_from(self._memory)
        return self._memory[_HEAD.size : _HEAD.size + length]


def main() -> None:
    """Run one way for some seconds."""
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
        folder: Where its corpus is, and what is noted.
        seconds: How long.
    """
    import atheris  # noqa: PLC0415 - in the fuzzer's own environment alone

    packages = ["lava_s3trigger"]
    if name == "templates-bytes":  # the grammar is for it to find
        packages.append("jinja2")
    with atheris.instrument_imports(include=packages):
        # What is imported before atheris is asked to would have no coverage.
        from .findings import manner  # noqa: PLC0415
        from .ways import WAYS  # noqa: PLC0415

    way = WAYS[name]
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(way.seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
    words = folder / "words"
    words.write_text("# no empty file will do\n" + "".join(map(_quoted, way.words)))
    state = State(folder / "state")
    executed, checked = state.counts
    shortest: dict[str, int] = {}

    def check(case: Any) -> None:
        try:
            way.check(case)
        except Exception as error:  # noqa: BLE001 - whatever is not declared
            failed = manner(error)
            if len(data := state.data) < shortest.get(failed, sys.maxsize):
                shortest[failed] = len(data)
                noted = {"error": f"{type(error).__name__}: {error}"}
                noted["data"] = base64.b64encode(data).decode()
                (folder / f"{failed}.json").write_text(json.dumps(noted))

    run = way.runner(check)

    def one(data: bytes) -> int:
        nonlocal executed, checked
        state.note(data, executed=executed, checked=checked)
        executed += 1
        faulthandler.dump_traceback_later(STUCK, exit=True)
        is_case = run(data)
        checked += is_case
        return 0 if is_case else -1  # what is no case is not kept in the corpus

    atheris.Setup([sys.argv[0], *_options(folder, seconds), str(corpus)], one)
    atheris.Fuzz()


def _options(folder: Path, seconds: int) -> Iterable[str]:
    yield f"-max_total_time={seconds}"
    yield f"-max_len={LONGEST}"
    yield "-timeout=0"  # see above
    yield "-rss_limit_mb=3072"
    yield "-len_control=0"
    yield "-print_final_stats=1"
    yield f"-artifact_prefix={folder}/"
    yield f"-dict={folder / 'words'}"


def _quoted(word: str) -> str:
    """Write a word as libFuzzer reads it from a dictionary."""
    inner = "".join(
        chr(each) if chr(each).isalnum() else f"\\x{each:02x}" for each in word.encode()
    )
    return f'"{inner}"\n'


if __name__ == "__main__":
    main()

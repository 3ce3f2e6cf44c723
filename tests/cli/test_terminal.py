"""Nothing that keys and entries hold reaches a terminal as more than text."""

import io
import json
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lava_s3trigger.cli import main
from lava_s3trigger.cli.output.escaping import safe
from tests.build import eventbridge, job_entry, trigger_entry
from tests.cli.commandline import CommandLine
from tests.cli.schemas import validate
from tests.cli.terminal import HOSTILE, raw
from tests.templates.test_attacks import BRIEF, Attack

FORMATS: Final = ("text", "json")


class Shown:
    """Runs `explain` as for a pipe or as for a terminal."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *arguments: str, is_terminal: bool = False) -> str:
        """Return what is written to both outputs."""
        ran = CommandLine(["explain"], {"FORCE_COLOR": "1"} if is_terminal else {})(*arguments)
        return ran.output + ran.errors

    def every_way(self, payload: Any, triggers: list[Any], jobs: list[Any]) -> list[str]:
        """Explain a payload in every format, to a pipe and to a terminal; all must be safe."""
        for name, value in (("p", payload), ("t", triggers), ("j", jobs)):
            (self.folder / f"{name}.json").write_text(json.dumps(value))
        files = {"event": "p", "triggers": "t", "jobs": "j"}
        options = [f"--{option}={self.folder / name}.json" for option, name in files.items()]
        written = []
        for format_ in FORMATS:
            for is_terminal in (False, True):
                out = self(*options, f"--format={format_}", is_terminal=is_terminal)
                assert not raw(out, is_terminal=is_terminal and format_ == "text"), ascii(out)
                assert "defect in lava-s3trigger" not in out
                written.append(out)
        if not written[2].startswith("Error: "):  # as where a template looks like a placeholder
            # Behind the JSON are the messages, such as that two entries have one id.
            validate("explain", json.JSONDecoder().raw_decode(written[2])[0])
        return written


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shown:
    """`explain` in this process."""
    for name in ("NO_COLOR", "TERM", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    return Shown(tmp_path)


def world(text: str) -> tuple[Any, list[Any], list[Any]]:
    """Return a payload, triggers and jobs that hold a text wherever it can stand."""
    payload = eventbridge(f"{text}/{text}.csv", bucket=f"b{text}")
    payload["detail"]["reason"] = text
    payload["region"] = text
    changes: list[dict[str, Any]] = [
        {"parameters": {text: "{{ key }}", "k": "{{ key }}"}},
        {"if_fnmatch": [f"{text}*", text.upper()]},
        {"if_size_gt": text, text: 1},
        {"if_fnmatch": text, "delay": text},
        {"enabled": False},
        {"job_id": f"none{text}"},
        {"prefix": f"{text}/", "description": text},
    ]
    own = {"bucket": f"b{text}", "prefix": text, "job_id": f"job{text}"}
    triggers = [
        trigger_entry() | own | {"trigger_id": f"t{number}{text}"} | fields
        for number, fields in enumerate(changes)
    ]
    return payload, triggers, [job_entry(f"job{text}", f"w{text}", payload=text)]


class TestExplain:
    """`explain` is safe in every format, to a pipe and to a terminal."""

    @pytest.mark.parametrize("text", HOSTILE, ids=ascii)
    def test_hostile_text_everywhere(self, shown: Shown, text: str) -> None:
        piped, styled, *_ = shown.every_way(*world(text))
        assert "\x1b[" in styled  # it was a terminal
        assert "Error: forged" not in piped.splitlines()
        assert "\x1b]8" not in styled

    def test_markup_is_text(self, shown: Shown) -> None:
        piped, styled, *_ = shown.every_way(*world("[red]x[/]:smile:"))
        for out in (piped, styled):
            assert "[red]x[/]:smile:" in out

    @pytest.mark.parametrize("attack", BRIEF)
    def test_attacks_on_templates(self, shown: Shown, attack: Attack) -> None:
        name, value = attack.value()
        key = attack.key.encode("utf-8", "replace").decode()  # S3 has no halves of characters
        payload = eventbridge(key)
        # Without halves of characters, which DynamoDB cannot hold either.
        entry = json.dumps(trigger_entry(prefix="*") | {name: value}, ensure_ascii=False)
        shown.every_way(payload, [json.loads(entry.encode("utf-8", "replace"))], [])

    @settings(
        max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20))
    @example(text="trigger_id")
    def test_any_text(self, shown: Shown, text: str) -> None:
        shown.every_way(*world(text))

    @pytest.mark.parametrize("text", HOSTILE, ids=ascii)
    @pytest.mark.parametrize(
        "option",
        ["uri", "event", "triggers", "size", "time", "source-ip", "format", "profile", "output"],
    )
    def test_mistakes(self, shown: Shown, option: str, text: str) -> None:
        text = text.replace("\0", "")  # no argument of a process can hold it
        given_ = text if option == "uri" else f"--{option}={text}"
        rest = [] if option in ("uri", "event") else ["s3://b/k"]
        for is_terminal in (False, True):
            out = shown(given_, *rest, is_terminal=is_terminal)
            assert not raw(out), ascii(out)
            assert "Traceback" not in out

    def test_a_pipe_that_takes_ascii_alone(
        self, shown: Shown, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shown.every_way(*world("x"))
        buffer = io.BytesIO()
        monkeypatch.setattr("sys.stdout", io.TextIOWrapper(buffer, encoding="ascii"))
        files = [f"--{name}={shown.folder / name[0]}.json" for name in ("triggers", "jobs")]
        with pytest.raises(SystemExit) as ended:
            main(["explain", "s3://bx/x/caf\u00e9.csv", *files])
        assert ended.value.code == 0
        assert b"caf\\xe9" in buffer.getvalue()


class TestSafe:
    """Text is escaped, and otherwise as it was."""

    @given(st.text())
    def test_what_is_escaped_is_safe(self, text: str) -> None:
        assert not raw(safe(text))

    @given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"])))
    def test_what_is_harmless_stays(self, text: str) -> None:
        assert safe(text) == text

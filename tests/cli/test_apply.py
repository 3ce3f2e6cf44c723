"""`apply` puts entries of files into a realm's table, on the local server."""

import json
import os
import pty
import re
import signal
from pathlib import Path
from typing import Any, Final

import pytest

from tests.build import item
from tests.processes import finish, read_until
from tests.tables import cases

from .applying import JOB, SET, Applying, entry, undo_file, written
from .schemas import validate
from .terminal import raw


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


class TestWriting:
    """The table holds what the files say."""

    def test_new_changed_and_unchanged_entries(self, applying: Applying) -> None:
        applying.applied(entry("a"), entry("b"))
        applying.write(entry("a"), entry("b", delay=5), entry("c", prefix="other"))

        found = applying.json(status=0)

        assert applying.items() == {
            "a": written(entry("a")),
            "b": written(entry("b", delay=5)),
            "c": written(entry("c", prefix="other")),
        }
        changes = [(each["trigger_id"], each["kind"]) for each in found["changes"]]
        assert changes == [("c", "new"), ("b", "changed")]
        assert found["changes"][1]["fields"] == [{"field": "delay", "after": 5}]
        assert (found["outcome"], found["unchanged"]) == ("applied", 1)
        assert found["unconfirmed"] == found["left"] == []

    def test_it_is_shown_field_by_field(self, applying: Applying) -> None:
        applying.applied(entry("a", delay=5, parameters={"x": {"y": 1}}))
        applying.write(entry("a", if_fnmatch="*.csv", parameters={"x": {"y": 2}}))

        ran = applying.apply()

        assert "changed  a  s3://my-bucket/in" in ran.output
        assert " parameters.x.y 1 -> 2\n" in ran.output
        assert " delay 5 -> (absent)\n" in ran.output
        assert " if_fnmatch (absent) -> '*.csv'\n" in ran.output
        assert "1 written, and read back from the table and its index" in ran.output

    def test_nothing_in_an_entry_reaches_a_terminal_but_text(self, applying: Applying) -> None:
        evil = "\x1b[2J\u202e\x9b"
        applying.put(entry(f"c{evil}", prefix=f"in/{evil}", delay=1) | {SET: f"s{evil}"})
        applying.write(entry(f"c{evil}", prefix=f"in/{evil}", owner=evil), entry("d", prefix=evil))

        refused = applying.apply(status=1)
        adopted = applying.apply("--adopt", status=0)
        undone = applying.undo(undo_file(adopted.errors))
        disabled = applying.run("--disable", "--set", f"s{evil}", "--yes", status=0)
        for ran in (refused, adopted, undone, disabled):
            assert raw(ran.output + ran.errors) == set()

    def test_custom_fields_of_files_only_are_not_written(self, applying: Applying) -> None:
        case = expecting("in/a.csv", [{"job_id": "load"}])
        own = {**case, "x-lint-ignore": ["LT999"], "x-ticket": "T-1"}
        applying.applied(entry("a") | own)

        assert applying.items() == {"a": written(entry("a") | {"x-ticket": "T-1"})}
        applying.apply("--dry-run", status=0)

    def test_a_dry_run_says_whether_something_would_change(self, applying: Applying) -> None:
        applying.write(entry("a"))

        applying.apply("--dry-run", status=1)
        assert applying.items() == {}
        applying.apply()
        applying.apply("--dry-run", status=0)
        applying.write(entry("a") | {"x-ticket": "T-2"})  # the function does not see it
        applying.apply("--dry-run", status=0)
        applying.write(entry("a", delay=1))
        applying.apply("--dry-run", status=1)

    def test_without_a_terminal_or_yes_nothing_is_written(self, applying: Applying) -> None:
        applying.write(entry("a"))

        ran = applying.run(applying.entries, "--set", "orders")

        assert (ran.status, ran.output) == (2, "")
        assert "apply asks before it writes to the table: give --yes" in ran.errors
        assert applying.items() == {}

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--set", "s"], "no entries"),
            (["ENTRIES"], "no set: name the set of these entries with --set"),
            (["--disable", "--set", "s", "ENTRIES"], "--disable takes no files"),
            (["--disable"], "--disable needs --set or --trigger"),
            (["--undo", "ENTRIES/0.json"], "not a file that `apply` saved"),
            (["--undo", "f", "--disable"], "--undo takes neither files nor --disable"),
            (["--trigger", "a", "ENTRIES"], "--trigger is for --disable only"),
        ],
        ids=lambda each: " ".join(each) if isinstance(each, list) else "",
    )
    def test_wrong_usage(self, applying: Applying, arguments: list[str], said: str) -> None:
        applying.write(entry("a"))
        words = (each.replace("ENTRIES", applying.entries) for each in arguments)

        ran = applying.run(*words, status=2)

        assert said in ran.errors

    def test_the_set_may_be_in_the_configuration_file(
        self, applying: Applying, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        applying.write(entry("a"))
        (applying.folder / "lava-s3trigger.toml").write_text('[apply]\nset = "of-file"\n')
        monkeypatch.chdir(applying.folder)

        applying.run(applying.entries, "--yes", status=0)
        assert applying.items() == {"a": written(entry("a"), "of-file")}


class TestSets:
    """Teams share a realm: each changes its own set only."""

    @pytest.mark.parametrize(
        ("more", "said"),
        [
            ({"delay": 9}, "is of no set"),
            ({"delay": 9, SET: "theirs"}, "is of the set 'theirs'"),
            ({}, "is of no set"),
        ],
        ids=["no-set", "another-set", "equal"],
    )
    def test_an_entry_outside_the_set_is_an_error_unless_it_is_adopted(
        self, applying: Applying, more: dict[str, Any], said: str
    ) -> None:
        applying.put(entry("a") | more)
        applying.write(entry("a"), entry("b"))

        ran = applying.apply(status=1)

        assert said in ran.output
        assert list(applying.items()) == ["a"]  # b was left out as well
        applying.apply("--adopt", status=0)
        assert applying.items()["a"] == written(entry("a"))

    @pytest.mark.parametrize("is_in_file", [False, True], ids=["in-the-table", "in-the-file"])
    def test_an_entry_of_lava_is_never_adopted(
        self, applying: Applying, *, is_in_file: bool
    ) -> None:
        theirs = entry("a", delay=9) | {"x-lava-chk": "c0ffee"}
        applying.put(*([] if is_in_file else [theirs]))
        applying.write(theirs if is_in_file else entry("a"))
        before = applying.items()

        ran = applying.apply("--adopt", status=1)

        assert "(x-lava-chk)" in ran.output
        assert applying.items() == before

    def test_prune_deletes_some_entries_that_the_files_lack(self, applying: Applying) -> None:
        entries = [entry(f"t{number}") for number in range(6)]
        applying.put(entry("theirs") | {SET: "theirs"}, entry("nobodys"))
        applying.applied(*entries)
        applying.write(*entries[1:])
        ran = applying.apply(status=0)
        assert "t0" in applying.items()
        assert "1 not in the files (--prune deletes them): t0" in ran.output
        applying.apply("--prune", status=0)
        kept = {"theirs", "nobodys", "t1", "t2", "t3", "t4", "t5"}
        assert set(applying.items()) == kept

        (applying.folder / "entries" / "0.json").write_text("{")
        assert "0.json:1" in applying.apply("--prune", status=3).errors
        applying.write(*entries[3:])
        ran = applying.apply("--prune", status=2)
        assert "would delete 2 of the 5 entries of the set" in ran.errors
        assert "deleted  t1" in ran.output  # so that it can be seen which
        assert set(applying.items()) == kept
        applying.apply("--prune-all", status=0)
        assert set(applying.items()) == kept - {"t1", "t2"}


ONE_FAILED: Final = "1 case: 0 passed, 1 failed"


def expecting(key: str, expected: Any) -> dict[str, Any]:
    return {"x-tests": [{"key": key, "expect": expected}]}


class TestChecks:
    """`check`, `test` and `plan` come first, on the table with the set replaced."""

    def test_an_error_of_check_refuses(self, applying: Applying) -> None:
        applying.write(entry("a", paramters={}))

        found = applying.json(status=1)

        assert found["outcome"] == "refused"
        assert "paramters" in json.dumps(found["findings"])
        assert applying.items() == {}

    def test_a_warning_refuses_only_if_asked(self, applying: Applying) -> None:
        applying.write(entry("a", delay=5, prefix="in/"))

        applying.apply("--fail-on", "warning", status=1)
        assert applying.items() == {}
        assert "warning LT201" in applying.apply(status=0).output

    @cases(
        ("own", "said"),
        {
            "of another set": ({SET: "theirs"}, "says that it is of the set"),
            "with a case that fails": (expecting("in/a.csv", "nothing"), ONE_FAILED),
            "with a case that the entries of others fail": (
                expecting("in/deep/a.csv", [{"job_id": "load"}]),
                ONE_FAILED,
            ),
        },
    )
    def test_a_file_is_refused(self, applying: Applying, own: dict[str, Any], said: str) -> None:
        applying.put(entry("theirs", prefix="in/deep", enabled=False) | {SET: "theirs"})
        applying.write(entry("a") | own)

        ran = applying.apply(status=1)

        assert said in ran.output
        assert applying.items().keys() == {"theirs"}

    def test_hidden_and_freed_entries_of_others_are_shown(self, applying: Applying) -> None:
        applying.put(entry("theirs", prefix="in") | {SET: "theirs"})
        applying.write(entry("a", prefix="in/deep/x"))

        [hidden] = applying.json()["hidden"]

        found = [hidden[name] for name in ("trigger_id", "set_name", "bucket", "prefix")]
        assert found == ["theirs", "theirs", "my-bucket", "in/deep/x"]
        applying.write(entry("a", prefix="elsewhere"))
        freed = applying.apply()
        told = "theirs (of set theirs) at prefix 'in' gets the keys below s3://my-bucket/in/deep/x"
        assert told in freed.output

    def test_with_keys_it_says_who_gains_and_loses(self, applying: Applying) -> None:
        applying.write(entry("a"))
        keys = applying.folder / "keys.txt"
        keys.write_text("s3://my-bucket/in/a.csv\n")

        found = applying.json("--keys", str(keys))

        assert found["plan"]["dispatches"]["gained"] == 1

    def test_a_job_of_a_file_counts_and_is_not_written(self, applying: Applying) -> None:
        jobs = applying.folder / "jobs.json"
        jobs.write_text(json.dumps(JOB | {"job_id": "of-file"}))
        applying.write(entry("a", job_id="of-file"))

        strictly = ("--fail-on", "warning")
        applying.apply(*strictly, status=1)
        applying.apply(*strictly, "--jobs", str(jobs), status=0)
        pages = applying.client.scan(TableName=f"lava.{applying.realm.name}.jobs")
        assert [each["job_id"]["S"] for each in pages["Items"]] == ["load"]

    def test_a_renamed_entry_may_fire_twice_for_a_while(self, applying: Applying) -> None:
        applying.applied(entry("old"))
        applying.write(entry("new"))

        ran = applying.apply("--prune-all")

        told = "twice    job load for keys below s3://my-bucket/in: old loses it after new gets it"
        assert told in ran.output
        assert "This lasts about 60 s" in ran.output

    @pytest.mark.parametrize(
        ("before", "after", "order", "gaps"),
        [
            ({"a": "x", "b": "y"}, {"a": "z", "b": "x"}, ["b", "a"], [False]),
            ({"a": "y", "b": "x"}, {"a": "x", "b": "z"}, ["a", "b"], [False]),
            ({"a": "x", "b": "y"}, {"a": "y", "b": "x"}, ["a", "b"], [True, False]),
        ],
        ids=["the-later-gets-it", "the-earlier-gets-it", "a-swap"],
    )
    def test_an_entry_gets_a_job_before_another_loses_it(
        self,
        applying: Applying,
        before: dict[str, str],
        after: dict[str, str],
        order: list[str],
        gaps: list[bool],
    ) -> None:
        applying.applied(*[entry(name, job_id=job) for name, job in before.items()])
        applying.write(*[entry(name, job_id=job) for name, job in after.items()])

        found = applying.json("--dry-run")

        assert [each["trigger_id"] for each in found["changes"]] == order
        assert [each["is_gap"] for each in found["handovers"]] == gaps


class TestUndo:
    """What a run replaced can be put back, if nobody changed it since."""

    def test_all_of_it_is_put_back(self, applying: Applying) -> None:
        values = {"x-b": {"B": b"\xff\0"}, "x-s": {"BS": [b"\xfe", b""]}, "x-n": {"NS": ["1.50"]}}
        more = item(entry("a", parameters={"n": 1.5, "s": "x"}) | {"x-old": [1]})
        applying.realm.put_item("s3triggers", more | values)
        applying.put(entry("z"))
        before = applying.items()
        applying.write(entry("a"), entry("b"))
        ran = applying.apply("--adopt", status=0)

        undone = applying.undo(undo_file(ran.errors))

        assert applying.items() == before
        applying.undo(undo_file(undone.errors))
        assert applying.items()["a"] == written(entry("a"))

    def test_an_entry_that_was_changed_since_is_left(self, applying: Applying) -> None:
        path = applying.applied(entry("a"), entry("b"))
        applying.put(entry("a", delay=7) | {SET: "orders"})

        found = applying.undo(path, "--format", "json", status=1).json()

        assert found["outcome"] == "incomplete"
        [conflict] = found["conflicts"]
        assert conflict["trigger_id"] == "a"
        assert "it was changed after that run" in conflict["reason"]
        assert set(applying.items()) == {"a"}

    def test_a_file_of_another_realm_is_refused(self, applying: Applying) -> None:
        path = applying.applied(entry("a"))

        ran = applying.line("apply", "--undo", path, "--yes", "--realm", "other")

        assert ran.status == 2
        assert f"is of realm {applying.realm.name}" in ran.errors

    def test_the_file_is_for_its_user_only(self, applying: Applying) -> None:
        path = Path(applying.applied(entry("a")))

        assert path.is_relative_to(applying.folder / "state" / "lava-s3trigger")
        assert path.stat().st_mode & 0o777 == 0o600


def enabled(applying: Applying) -> set[str]:
    return {name for name, each in applying.items().items() if each[1]["enabled"][1]}


class TestDisable:
    """The emergency stop of a set, or of an entry."""

    def test_a_set_is_disabled_and_undone(self, applying: Applying) -> None:
        applying.put(entry("theirs", prefix="*") | {SET: "theirs"})
        deep = (entry("b", prefix="deep/er"), entry("d", prefix="in/deep"))
        applying.applied(entry("a"), entry("c", enabled=False), *deep)
        before = applying.items()

        ran = applying.run("--disable", "--set", "orders", "--yes", status=0)

        assert enabled(applying) == {"theirs"}
        hidden = "theirs (of set theirs) at prefix '*' is hidden from the keys below"
        assert f"{hidden} s3://my-bucket/deep/er" in ran.output
        assert "Events are skipped until the entries are enabled again." in ran.output
        before_writing = ran.output.partition(" written, ")[0]
        replay = "lava-s3trigger replay s3://my-bucket/deep/er s3://my-bucket/in --since 20"
        assert replay in before_writing
        applying.undo(undo_file(ran.errors))
        assert applying.items() == before

    def test_one_entry_of_any_owner(self, applying: Applying) -> None:
        applying.put(entry("a"), entry("b") | {"x-lava-chk": "c0ffee"})

        applying.run("--disable", "--trigger", "b", "--yes", status=0)
        assert enabled(applying) == {"a"}
        applying.run("--disable", "--trigger", "none", "--yes", status=3)
        applying.run("--disable", "--set", "none", "--yes", status=3)


class TestProcess:
    """As its user runs it: with a question, and interrupted."""

    @pytest.mark.parametrize(
        ("answer", "status", "is_written"), [("y", 0, True), ("n", 1, False)], ids=["yes", "no"]
    )
    def test_a_question_is_asked_at_a_terminal(
        self, applying: Applying, answer: str, status: int, *, is_written: bool
    ) -> None:
        applying.write(entry("a"))
        ours, theirs = pty.openpty()
        os.write(ours, f"{answer}\n".encode())

        process = applying.start(
            applying.entries, "--set", "orders", "--format", "json", stdin=theirs
        )
        output, errors = finish(process)

        os.close(ours)
        os.close(theirs)
        assert process.returncode == status, errors
        # Data goes elsewhere, so what is asked about is shown with the question.
        shown, _, rest = errors.partition("Write these changes? [y/N]: ")
        assert "new      a  s3://my-bucket/in" in shown
        assert ("Nothing was written." in rest) is not is_written
        found = json.loads(output)
        validate("apply", found)
        assert found["outcome"] == ("applied" if is_written else "declined")
        assert ("a" in applying.items()) is is_written

    def test_after_ctrl_c_the_same_command_goes_on(self, applying: Applying) -> None:
        applying.client.update_table(
            TableName=applying.table,
            BillingMode="PROVISIONED",
            ProvisionedThroughput={"ReadCapacityUnits": 1, "WriteCapacityUnits": 1},
        )
        large = {"text": "x" * 300_000}  # 294 s of a table of one unit
        applying.write(entry("a", parameters=large), entry("b"))
        process = applying.start(applying.entries, "--set", "orders", "--yes")
        assert process.stdout
        assert process.stderr
        shown = read_until(process.stdout, "2 writes take about 5 min", process)
        while "a" not in applying.items():
            assert process.poll() is None, finish(process)
        process.send_signal(signal.SIGINT)
        output, errors = finish(process)

        assert process.returncode == 130, errors
        assert "the table has 1 write unit a second" in shown[-1] + output
        # The command may not have read the reply yet.
        assert re.search("[01] of 2 entries are known to be written", errors)
        assert "run the same command again to continue" in errors
        assert list(applying.items()) == ["a"]
        applying.client.update_table(TableName=applying.table, BillingMode="PAY_PER_REQUEST")
        applying.apply(status=0)
        assert list(applying.items()) == ["a", "b"]

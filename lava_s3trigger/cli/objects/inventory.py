"""Reads S3 Inventory reports: a manifest and its data files, or a data file alone.

See https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory-location.html
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
import shutil
import tempfile
import zlib
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, Final
from urllib.parse import unquote_plus

from lava_s3trigger.cli.deployed.aws import Aws, reaching_aws
from lava_s3trigger.cli.errors import CommandError
from lava_s3trigger.cli.output.streams import message
from lava_s3trigger.units import shown

from .uri import SCHEME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from .record import Assumed, S3Object

    Row = Mapping[str, Any]

_MANIFEST: Final = ".json"
_ARN: Final = "arn:"
_BATCH_ROWS: Final = 10_000
# What a data file without a manifest surely begins with.
_FIRST_COLUMNS: Final = ("bucket", "key")
_COLUMNS: Final = (*_FIRST_COLUMNS, "size", "lastmodifieddate", "islatest", "isdeletemarker")


def read_inventory(path: str, aws: Aws, assumed: Assumed) -> Iterator[S3Object]:
    """Yield the objects of an inventory, current versions alone.

    Args:
        path: File or S3 URI of a ``manifest.json``, or of a data file: CSV, also gzipped,
            Parquet or ORC. Of CSV the manifest alone tells the columns after the key.
        aws: Where S3 is.
        assumed: What is assumed where the inventory has no such column.

    Raises:
        CommandError: It cannot be read.
    """
    if not path.endswith(_MANIFEST):
        read = _reader(path)
        if read is _csv_rows:
            message(
                f"{path}: without its manifest.json, sizes and times of the objects are not known"
            )
        with _opened(path, aws) as file:
            yield from _objects(path, read(path, file, _FIRST_COLUMNS), assumed)
        return
    manifest = _read_manifest(path, aws)
    schema = str(manifest.get("fileSchema", ""))
    columns = tuple(_normal(name) for name in schema.split(","))
    for key in _data_files(path, manifest):
        data = _location(path, manifest, key)
        read = _reader(data)
        with _opened(data, aws) as file:
            yield from _objects(data, read(data, file, columns), assumed)


def _read_manifest(path: str, aws: Aws) -> dict[str, Any]:
    with _opened(path, aws) as file:
        try:
            manifest = json.load(file)
        except ValueError as error:
            raise CommandError(f"{path}: no valid JSON: {error}") from None
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), list):
        raise CommandError(
            f"{path}: this is no manifest of an S3 Inventory: it has no list of files"
        )
    return manifest


def _data_files(path: str, manifest: dict[str, Any]) -> Iterator[str]:
    for file in manifest["files"]:
        key = file.get("key") if isinstance(file, dict) else None
        if not isinstance(key, str) or not key:
            raise CommandError(f"{path}: {shown(file)} in files names no key")
        yield key


def _location(path: str, manifest: dict[str, Any], key: str) -> str:
    """Return where a data file of a manifest is."""
    if path.startswith(SCHEME):
        bucket = str(manifest.get("destinationBucket", ""))
        if bucket.startswith(_ARN):
            bucket = bucket.rpartition(":")[2]
        return f"{SCHEME}{bucket or path.removeprefix(SCHEME).partition('/')[0]}/{key}"
    # Copied with its folders, or flat. S3 puts manifests and data in sibling folders.
    folder = Path(path).parent
    name = PurePosixPath(key).name
    tried = [folder.parent / "data" / name, folder / "data" / name, folder / name]
    if not PurePosixPath(key).is_absolute() and ".." not in PurePosixPath(key).parts:
        tried.insert(0, folder / key)
    for found in tried:
        if found.is_file():
            return str(found)
    raise CommandError(
        f"{path}: its data file {shown(name)} is missing: put it beside the manifest, or give"
        " the manifest's S3 URI"
    )


@contextlib.contextmanager
def _opened(path: str, aws: Aws) -> Iterator[IO[bytes]]:
    """Open a file, or a copy of an object: what reads Parquet and ORC seeks in it."""
    if not path.startswith(SCHEME):
        with contextlib.ExitStack() as stack:
            try:
                file = stack.enter_context(Path(path).open("rb"))
            except OSError as error:
                raise CommandError(f"{path}: {error.strerror}") from None
            yield file
        return
    bucket, _, key = path.removeprefix(SCHEME).partition("/")
    client = aws.client("s3")
    with tempfile.TemporaryFile() as copy:
        with reaching_aws():
            shutil.copyfileobj(client.get_object(Bucket=bucket, Key=key)["Body"], copy)
        copy.seek(0)
        yield copy


def _reader(path: str) -> Callable[[str, IO[bytes], Sequence[str]], Iterator[Row]]:
    for suffix, read in _READERS.items():
        if path.endswith(suffix):
            return read
    raise CommandError(
        f"{path}: this is no file of an S3 Inventory; those end with"
        f" {', '.join((_MANIFEST, *_READERS))}"
    )


def _objects(path: str, rows: Iterator[Row], assumed: Assumed) -> Iterator[S3Object]:
    for number, row in enumerate(rows, 1):
        if _is(row.get("islatest"), default=True) and not _is(row.get("isdeletemarker")):
            try:
                yield assumed.s3_object(
                    row["bucket"],
                    row["key"],
                    _size(row.get("size")),
                    _time(row.get("lastmodifieddate")),
                )
            except (KeyError, ValueError) as error:
                raise CommandError(f"{path}: row {number}: {error}") from None


def _csv_rows(path: str, file: IO[bytes], columns: Sequence[str]) -> Iterator[Row]:
    if not {*_FIRST_COLUMNS} <= {*columns}:
        raise CommandError(f"{path}: the manifest's fileSchema has no Bucket and Key")
    is_gzipped = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    stream: Any = gzip.GzipFile(fileobj=file) if is_gzipped else file
    text = io.TextIOWrapper(stream, encoding="utf-8", newline="")
    rows = csv.reader(text)
    try:
        for row in rows:
            if row:
                found = dict(zip(columns, row, strict=False))
                # Encoded once, a space as + or as %20, and a + as %2B.
                found["key"] = unquote_plus(found["key"], errors="strict")
                yield found
    except (KeyError, csv.Error, UnicodeDecodeError) as error:
        raise CommandError(f"{path}:{rows.line_num}: no row of an inventory: {error}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise CommandError(f"{path}: the file is damaged: {error}") from None
    finally:
        text.detach()  # else it closes the file, which is not its own


def _parquet_rows(path: str, file: IO[bytes], _columns: Sequence[str]) -> Iterator[Row]:
    with _reading_arrow(path):
        from pyarrow import parquet  # type: ignore[import-untyped] # noqa: PLC0415 - of the extra

        table = parquet.ParquetFile(file)
        names = _wanted(table.schema_arrow.names)
        for batch in table.iter_batches(_BATCH_ROWS, columns=list(names)):
            yield from _rows(batch, names)


def _orc_rows(path: str, file: IO[bytes], _columns: Sequence[str]) -> Iterator[Row]:
    with _reading_arrow(path):
        from pyarrow import orc  # noqa: PLC0415 - likewise

        table = orc.ORCFile(file)
        names = _wanted(table.schema.names)
        for stripe in range(table.nstripes):
            whole = table.read_stripe(stripe, columns=list(names))
            for start in range(0, whole.num_rows, _BATCH_ROWS):
                yield from _rows(whole.slice(start, _BATCH_ROWS), names)


@contextlib.contextmanager
def _reading_arrow(path: str) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError:
        raise CommandError(
            f"{path}: to read Parquet and ORC, pyarrow is needed. Run:"
            " pip install 'lava-s3trigger[cli,inventory]'"
        ) from None
    except (OSError, ValueError) as error:  # pyarrow's own errors are of these
        raise CommandError(f"{path}: it cannot be read: {error}") from None


def _wanted(names: Sequence[str]) -> dict[str, str]:
    return {name: _normal(name) for name in names if _normal(name) in _COLUMNS}


def _rows(batch: Any, names: Mapping[str, str]) -> Iterator[Row]:
    columns = {normal: batch.column(name).to_pylist() for name, normal in names.items()}
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True))


_READERS: Final = {
    ".csv.gz": _csv_rows,
    ".csv": _csv_rows,
    ".parquet": _parquet_rows,
    ".orc": _orc_rows,
}


def _normal(name: str) -> str:
    """Return the name of a column as CSV, Parquet and ORC have it in common."""
    return name.strip().replace("_", "").lower()


def _is(value: Any, *, default: bool = False) -> bool:
    if value is None or value == "":
        return default
    return value is True or str(value).lower() == "true"


def _size(value: Any) -> int | None:
    return None if value is None or value == "" else int(value)


def _time(value: Any) -> datetime | None:
    if value is None or value == "":
        return None
    time = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)

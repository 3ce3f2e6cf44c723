"""Reads S3 Inventory reports: a manifest and its data files, or only a data file.

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
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, Final
from urllib.parse import unquote_plus

from lava_s3trigger.cli.deployed.aws import Aws, reaching_aws
from lava_s3trigger.cli.errors import CommandError
from lava_s3trigger.cli.output.streams import message, naming
from lava_s3trigger.cli.output.times import read_time
from lava_s3trigger.units import shown

from .uri import SCHEME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from .record import Assumed, S3Object

    Row = Mapping[str, Any]

_MANIFEST: Final = ".json"
_ARN: Final = "arn:"
_BATCH_ROWS: Final = 10_000
# The first columns of every data file, for one without a manifest.
_FIRST_COLUMNS: Final = ("bucket", "key")
_COLUMNS: Final = (*_FIRST_COLUMNS, "size", "lastmodifieddate", "islatest", "isdeletemarker")


def of_inventory(path: str, aws: Aws, assumed: Assumed) -> Iterator[S3Object]:
    """Yield the current versions of objects in an inventory.

    Args:
        path: File or S3 URI of a ``manifest.json``, or of a data file: CSV, also gzipped,
            Parquet or ORC. Only the manifest names the columns of CSV after the key.
        aws: The account of the objects.
        assumed: Values for columns that the inventory does not have.

    Raises:
        CommandError: It cannot be read.
    """
    files: Iterable[str] = [path]
    columns: Sequence[str] = _FIRST_COLUMNS
    if path.endswith(_MANIFEST):
        files, columns = _read_manifest(path, aws)
    elif _reader(path) is _csv_rows:
        message(f"{path}: without its manifest.json, sizes and times of the objects are not known")
    for name in files:
        read = _reader(name)
        with _opened(name, aws) as file:
            yield from _objects(name, read(name, file, columns), assumed)


def _read_manifest(path: str, aws: Aws) -> tuple[Iterable[str], Sequence[str]]:
    """Return the locations of the data files of a manifest, and the names of the columns of CSV."""
    with _opened(path, aws) as file:
        try:
            manifest = json.load(file)
        except ValueError as error:
            raise CommandError(f"{path}: no valid JSON: {error}") from None
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), list):
        raise CommandError(f"{path}: not a manifest of an S3 Inventory: it has no list of files")
    columns = str(manifest.get("fileSchema", "")).split(",")
    return _data_files(path, manifest), [_normal(name) for name in columns]


def _data_files(path: str, manifest: dict[str, Any]) -> Iterator[str]:
    for file in manifest["files"]:
        key = file.get("key") if isinstance(file, dict) else None
        if not isinstance(key, str) or not key:
            raise CommandError(f"{path}: {shown(file)} in files names no key")
        yield _location(path, manifest, key)


def _location(path: str, manifest: dict[str, Any], key: str) -> str:
    """Return the location of a data file of a manifest."""
    if path.startswith(SCHEME):
        bucket = str(manifest.get("destinationBucket", ""))
        if bucket.startswith(_ARN):
            bucket = bucket.rpartition(":")[2]
        return f"{SCHEME}{bucket or path.removeprefix(SCHEME).partition('/')[0]}/{key}"
    # S3 puts manifests and data into sibling folders; a local copy may be flat.
    folder = Path(path).parent
    name = PurePosixPath(key).name
    tried = [folder.parent / "data" / name, folder / "data" / name, folder / name]
    if not PurePosixPath(key).is_absolute() and ".." not in PurePosixPath(key).parts:
        tried.insert(0, folder / key)
    for candidate in tried:
        if candidate.is_file():
            return str(candidate)
    raise CommandError(
        f"{path}: its data file {shown(name)} is missing: put it next to the manifest, or give"
        " the manifest's S3 URI"
    )


@contextlib.contextmanager
def _opened(path: str, aws: Aws) -> Iterator[IO[bytes]]:
    """Open a file, or a copy of an object, since readers of Parquet and ORC need to seek."""
    if not path.startswith(SCHEME):
        with naming(path), Path(path).open("rb") as file:
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
        f"{path}: not a file of an S3 Inventory; those end with {', '.join((_MANIFEST, *_READERS))}"
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
                fields = dict(zip(columns, row, strict=False))
                # Keys are encoded once: a space is + or %20, and a + is %2B.
                fields["key"] = unquote_plus(fields["key"], errors="strict")
                yield fields
    except (KeyError, csv.Error, UnicodeDecodeError) as error:
        raise CommandError(f"{path}:{rows.line_num}: no row of an inventory: {error}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise CommandError(f"{path}: the file is damaged: {error}") from None
    finally:
        text.detach()  # else it would close the file, which belongs to the caller


def _parquet_rows(path: str, file: IO[bytes], _columns: Sequence[str]) -> Iterator[Row]:
    with _reading_arrow(path):
        from pyarrow import parquet  # type: ignore[import-untyped] # noqa: PLC0415 - of the extra

        table = parquet.ParquetFile(file)
        names = _wanted(table.schema_arrow.names)
        yield from _rows(table.iter_batches(_BATCH_ROWS, columns=list(names)), names)


def _orc_rows(path: str, file: IO[bytes], _columns: Sequence[str]) -> Iterator[Row]:
    with _reading_arrow(path):
        from pyarrow import orc  # noqa: PLC0415 - as above

        table = orc.ORCFile(file)
        names = _wanted(table.schema.names)
        stripes = (table.read_stripe(n, columns=list(names)) for n in range(table.nstripes))
        yield from _rows(
            (
                stripe.slice(start, _BATCH_ROWS)
                for stripe in stripes
                for start in range(0, stripe.num_rows, _BATCH_ROWS)
            ),
            names,
        )


@contextlib.contextmanager
def _reading_arrow(path: str) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError:
        raise CommandError(
            f"{path}: to read Parquet and ORC, pyarrow is needed. Run:"
            " pip install 'lava-s3trigger[cli,inventory]'"
        ) from None
    except (OSError, ValueError) as error:  # pyarrow's own errors are subclasses of these
        raise CommandError(f"{path}: it cannot be read: {error}") from None


def _wanted(names: Sequence[str]) -> dict[str, str]:
    return {name: _normal(name) for name in names if _normal(name) in _COLUMNS}


def _rows(batches: Iterable[Any], names: Mapping[str, str]) -> Iterator[Row]:
    for batch in batches:
        columns = [batch.column(name).to_pylist() for name in names]
        for values in zip(*columns, strict=True):
            yield dict(zip(names.values(), values, strict=True))


_READERS: Final = {
    ".csv.gz": _csv_rows,
    ".csv": _csv_rows,
    ".parquet": _parquet_rows,
    ".orc": _orc_rows,
}


def _normal(name: str) -> str:
    """Return a normalized name of a column, the same for CSV, Parquet and ORC."""
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
    return read_time(value.isoformat() if isinstance(value, datetime) else str(value))

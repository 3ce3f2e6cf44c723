"""Zip files whose bytes depend only on their contents, and lists of checksums."""

from __future__ import annotations

import hashlib
import zipfile
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_EARLIEST: Final = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip file can hold."""
_READABLE: Final = 0o100644 << 16
_UNIX: Final = 3


def write_zip(folder: Path, target: Path) -> None:
    """Write the files of a folder into a zip file.

    Order, times and permissions are fixed. Nothing is compressed: versions of zlib compress
    the same bytes to different ones.

    Args:
        folder: The folder; paths in the zip file are relative to it.
        target: The zip file.
    """
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, path in sorted(paths.items()):
            if path.is_file():
                info = zipfile.ZipInfo(name, _EARLIEST)
                info.create_system = _UNIX  # else it depends on the machine
                info.external_attr = _READABLE
                archive.writestr(info, path.read_bytes())


def checksum(path: Path) -> str:
    """Return the SHA-256 checksum of a file, in hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def checksums(folder: Path) -> str:
    """Return the checksums of a folder's files, as ``sha256sum --check`` reads them."""
    return "".join(f"{checksum(path)}  {path.name}\n" for path in sorted(folder.iterdir()))

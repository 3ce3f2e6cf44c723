"""Files below the user's state folder: plans of replays, and configuration before changes."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .streams import VERSION, naming


def state_folder() -> Path:
    """Return the folder of this program below the user's state folder.

    See https://specifications.freedesktop.org/basedir-spec/latest/
    """
    configured = os.environ.get("XDG_STATE_HOME", "")
    # The specification says to ignore a relative path.
    folder = Path(configured) if Path(configured).is_absolute() else Path.home() / ".local/state"
    return folder / "lava-s3trigger"


def save(name: str, document: dict[str, Any]) -> Path:
    """Write a JSON document to a new file that survives a crash, and return its path.

    Only the user may read the file.

    Args:
        name: The beginning of the file's name; the time is appended.
        document: The document, without ``version``.

    Raises:
        CommandError: The file cannot be written.
    """
    folder = state_folder()
    path = folder / f"{name}-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}.json"
    with naming(str(path)):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            json.dump({"version": VERSION, **document}, file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        # The name of a new file is durable only when its folder is synchronized.
        directory = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    return path

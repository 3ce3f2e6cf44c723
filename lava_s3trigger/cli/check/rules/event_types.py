"""The types of S3 events, as `info.event_type` has them.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-event-types-and-destinations.html
https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
"""

from __future__ import annotations

import re
from fnmatch import translate
from functools import lru_cache
from typing import Final

S3: Final = frozenset(
    """
    IntelligentTiering LifecycleExpiration:Delete LifecycleExpiration:DeleteMarkerCreated
    LifecycleTransition ObjectAcl:Put ObjectCreated:CompleteMultipartUpload ObjectCreated:Copy
    ObjectCreated:Post ObjectCreated:Put ObjectRemoved:Delete ObjectRemoved:DeleteMarkerCreated
    ObjectRestore:Completed ObjectRestore:Delete ObjectRestore:Post ObjectTagging:Delete
    ObjectTagging:Put ReducedRedundancyLostObject Replication:OperationFailedReplication
    Replication:OperationMissedThreshold Replication:OperationNotTracked
    Replication:OperationReplicatedAfterThreshold
    """.split()  # noqa: SIM905
)
"""From S3, also by SNS and SQS."""
EVENTBRIDGE: Final = frozenset(
    """
    ObjectACLUpdated ObjectAccessTierChanged ObjectCreated:CompleteMultipartUpload
    ObjectCreated:CopyObject ObjectCreated:POSTObject ObjectCreated:PutObject
    ObjectDeleted:DeleteObject ObjectDeleted:LifecycleExpiration ObjectRestoreCompleted
    ObjectRestoreExpired ObjectRestoreInitiated ObjectStorageClassChanged ObjectTagsAdded
    ObjectTagsDeleted
    """.split()  # noqa: SIM905
)
"""From EventBridge."""
ALL: Final = S3 | EVENTBRIDGE
_STARTS_WITHOUT_SIZE: Final = (
    "LifecycleExpiration:",
    "ObjectACLUpdated",
    "ObjectAcl:",
    "ObjectDeleted:",
    "ObjectRemoved:",
    "ObjectRestoreExpired",
    "ObjectTagging:",
    "ObjectTags",
)
WITHOUT_SIZE: Final = frozenset(each for each in ALL if each.startswith(_STARTS_WITHOUT_SIZE))
"""Types whose events carry no size. Their size is 0."""
PATTERNS: Final = ALL | {f"{each.partition(':')[0]}:*" for each in ALL if ":" in each}
"""What is often written, for suggestions."""


@lru_cache(4096)
def matched(pattern: str) -> frozenset[str]:
    """Return the types that a pattern matches, as `fnmatch` does on Linux."""
    match = re.compile(translate(pattern)).match
    return frozenset(each for each in ALL if match(each))

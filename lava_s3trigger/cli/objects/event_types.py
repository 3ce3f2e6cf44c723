"""The types of S3 events: their names in S3 and in EventBridge, and what their events leave out.

See docs/design.md#what-events-leave-out, and
https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-mapping-troubleshooting.html
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from lava_s3trigger.cli.errors import WRONG_USAGE, CommandError
from lava_s3trigger.cli.output.suggestions import near
from lava_s3trigger.units import shown

_NO_SEQUENCER: Final = frozenset(["sequencer"])
_NO_SIZE: Final = frozenset(["size"])
_NO_OBJECT: Final = frozenset(["size", "etag"])


@dataclass(frozen=True, slots=True, kw_only=True)
class EventType:
    """A type of S3 events."""

    name: str
    """S3's name, in ``eventName``."""
    detail_type: str | None = None
    """EventBridge's detail type; None if S3 does not send this event to EventBridge."""
    reason: str | None = None
    """The reason in EventBridge's detail."""
    version: str = "2.1"
    """Version of the record's format."""
    is_by_service: bool = False
    """Whether S3 itself acts, so that there is neither an address nor a requester."""
    is_by_service_in_eventbridge: bool = False
    """Whether EventBridge's event says that, although S3's does not."""
    without: frozenset[str] = frozenset()
    """The fields that S3's record leaves out: ``size``, ``etag``, ``sequencer``."""
    without_in_eventbridge: frozenset[str] = frozenset()
    """The fields that EventBridge's event leaves out."""
    is_new_version: bool = False
    """Whether the object always has a version id."""
    data: dict[str, Any] = field(default_factory=dict)
    """Further fields of S3's record."""
    detail: dict[str, Any] = field(default_factory=dict)
    """Further fields of EventBridge's detail."""

    @property
    def name_in_eventbridge(self) -> str | None:
        """The type that the function derives from EventBridge's event."""
        if self.detail_type is None:
            return None
        joined = f"{self.detail_type}:{self.reason}" if self.reason else self.detail_type
        return "".join(joined.split())


_EXPIRY: Final = "2030-01-01T00:00:00.000Z"
_RESTORED: Final = {
    "glacierEventData": {
        "restoreEventData": {
            "lifecycleRestorationExpiryTime": _EXPIRY,
            "lifecycleRestoreStorageClass": "GLACIER",
        }
    }
}
_DELETED: Final = {"deletion-type": "Permanently Deleted"}
_MARKED: Final = {"deletion-type": "Delete Marker Created"}


def _created(name: str, reason: str) -> EventType:
    return EventType(name=f"ObjectCreated:{name}", detail_type="Object Created", reason=reason)


def _deleted(name: str, *, is_by_service: bool, is_marker: bool) -> EventType:
    without = _NO_SIZE if is_marker else _NO_OBJECT
    return EventType(
        name=name,
        detail_type="Object Deleted",
        reason="Lifecycle Expiration" if is_by_service else "DeleteObject",
        version="2.3" if is_by_service else "2.1",
        is_by_service=is_by_service,
        without=without,
        without_in_eventbridge=without,
        is_new_version=is_marker,
        detail=_MARKED if is_marker else _DELETED,
    )


def _changed(name: str, detail_type: str) -> EventType:
    """Return an event type of tags or of the ACL of an object."""
    without = _NO_SIZE | _NO_SEQUENCER
    return EventType(
        name=name,
        detail_type=detail_type,
        version="2.3",
        without=without,
        without_in_eventbridge=without,
    )


def _annotated(name: str, detail_type: str, reason: str, **annotation: Any) -> EventType:
    """Return a type of events of an annotation of an object.

    AWS publishes EventBridge's events of these. Records of S3 are made to leave out the same.
    """
    return EventType(
        name=f"ObjectAnnotation:{name}",
        detail_type=detail_type,
        reason=reason,
        version="2.5",
        without=_NO_SIZE,
        without_in_eventbridge=_NO_SIZE,
        detail={"object-annotation": {"name": "my-annotation", **annotation}},
    )


def _replicated(name: str, **data: str) -> EventType:
    return EventType(
        name=f"Replication:{name}",
        version="2.2",
        is_by_service=True,
        is_new_version=True,
        data={
            "replicationEventData": {
                "replicationRuleId": "replica",
                "destinationBucket": "arn:aws:s3:::replica",
                "s3Operation": "OBJECT_PUT",
                "requestTime": "2026-03-14T01:59:26.000Z",
                **data,
            }
        },
    )


_TYPES: Final = (
    _created("Put", "PutObject"),
    _created("Post", "POST Object"),
    _created("Copy", "CopyObject"),
    _created("CompleteMultipartUpload", "CompleteMultipartUpload"),
    _deleted("ObjectRemoved:Delete", is_by_service=False, is_marker=False),
    _deleted("ObjectRemoved:DeleteMarkerCreated", is_by_service=False, is_marker=True),
    _deleted("LifecycleExpiration:Delete", is_by_service=True, is_marker=False),
    _deleted("LifecycleExpiration:DeleteMarkerCreated", is_by_service=True, is_marker=True),
    _changed("ObjectTagging:Put", "Object Tags Added"),
    _changed("ObjectTagging:Delete", "Object Tags Deleted"),
    _changed("ObjectAcl:Put", "Object ACL Updated"),
    EventType(
        name="ObjectRestore:Post",
        detail_type="Object Restore Initiated",
        without_in_eventbridge=_NO_SEQUENCER,
        detail={"source-storage-class": "GLACIER"},
    ),
    EventType(
        name="ObjectRestore:Completed",
        detail_type="Object Restore Completed",
        is_by_service_in_eventbridge=True,
        without_in_eventbridge=_NO_SEQUENCER,
        data=_RESTORED,
        detail={"restore-expiry-time": _EXPIRY, "source-storage-class": "GLACIER"},
    ),
    EventType(
        name="ObjectRestore:Delete",
        detail_type="Object Restore Expired",
        version="2.3",
        is_by_service=True,
        without_in_eventbridge=_NO_SIZE | _NO_SEQUENCER,
        data=_RESTORED,
    ),
    EventType(
        name="LifecycleTransition",
        detail_type="Object Storage Class Changed",
        version="2.3",
        is_by_service=True,
        without_in_eventbridge=_NO_SEQUENCER,
        data={
            "lifecycleEventData": {"transitionEventData": {"destinationStorageClass": "GLACIER"}}
        },
        detail={"destination-storage-class": "GLACIER"},
    ),
    EventType(
        name="IntelligentTiering",
        detail_type="Object Access Tier Changed",
        version="2.3",
        is_by_service=True,
        without_in_eventbridge=_NO_SEQUENCER,
        data={"intelligentTieringEventData": {"destinationAccessTier": "ARCHIVE_ACCESS"}},
        detail={"destination-access-tier": "ARCHIVE_ACCESS"},
    ),
    _annotated(
        "Put",
        "Object Annotation Created",
        "PutObjectAnnotation",
        size=24,
        etag="05df351ea190dffc26f55c74425b9d7a",
    ),
    _annotated("Delete", "Object Annotation Removed", "DeleteObjectAnnotation"),
    # EventBridge's list of events has none of retention.
    EventType(
        name="ObjectRetention:Put",
        version="2.5",
        is_new_version=True,
        data={"objectRetentionEventData": {"mode": "GOVERNANCE", "retainUntilDate": _EXPIRY}},
    ),
    EventType(name="ReducedRedundancyLostObject", is_by_service=True),
    _replicated("OperationFailedReplication", failureReason="DstBucketNotFound"),
    _replicated("OperationMissedThreshold", threshold="15 minutes"),
    _replicated(
        "OperationReplicatedAfterThreshold", threshold="15 minutes", replicationTime="20 minutes"
    ),
    _replicated("OperationNotTracked"),
)
EVENT_TYPES: Final = {event_type.name: event_type for event_type in _TYPES}
"""The event types by S3's name."""
IN_EVENTBRIDGE: Final = {
    name: event_type for event_type in reversed(_TYPES) if (name := event_type.name_in_eventbridge)
}
"""The event types by the name that the function derives from EventBridge's events; of two types
with one name, the first."""


def leaves_out(name: str, what: str) -> bool:
    """Return whether events of a type leave a field out.

    Args:
        name: The type, as S3 or EventBridge names it.
        what: ``size`` or ``etag``.

    Raises:
        CommandError: There is no such type.
    """
    kind = event_type(name)
    is_of_s3 = name.removeprefix("s3:") == kind.name
    return what in (kind.without if is_of_s3 else kind.without_in_eventbridge)


def event_type(name: str) -> EventType:
    """Return the type with a name of S3 or of EventBridge.

    Raises:
        CommandError: There is no such type.
    """
    plain = name.removeprefix("s3:")
    known = EVENT_TYPES.get(plain) or IN_EVENTBRIDGE.get(plain)
    if known:
        return known
    close = near(plain, [*EVENT_TYPES, *IN_EVENTBRIDGE])
    hint = f"did you mean {close[0]}? " if close else ""
    raise CommandError(
        f"no event type {shown(name)}: {hint}there are {', '.join(EVENT_TYPES)}", WRONG_USAGE
    )

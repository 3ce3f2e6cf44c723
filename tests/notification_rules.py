"""What S3 accepts as the notifications of a bucket, and what it sends: AWS's rules, as documented.

Independent of the code under test: events and filters are compared as the texts that S3 has.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-filtering.html
https://docs.aws.amazon.com/general/latest/gr/s3.html#limits_s3
"""

from collections.abc import Iterator
from itertools import combinations, product
from typing import Any
from urllib.parse import quote_plus

KINDS = ("LambdaFunctionConfigurations", "QueueConfigurations", "TopicConfigurations")


def notifications(configuration: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the notifications of all kinds."""
    return [each for kind in KINDS for each in configuration.get(kind, [])]


def refusals(configuration: dict[str, Any]) -> Iterator[str]:
    """Yield why S3 would refuse a configuration; nothing if it accepts it."""
    found = notifications(configuration)
    if len(found) > 100:
        yield "more than 100"
    ids = [each["Id"] for each in found if "Id" in each]
    if len({*ids}) < len(ids):
        yield "two have the same id"
    for one in found:
        if len(one.get("Id", "")) > 255:
            yield "an id is longer than 255"
        if any(len(value) > 1024 for value in filters(one).values()):
            yield "a filter is longer than 1024"
        if any(share(*pair) for pair in combinations(one["Events"], 2)):
            yield f"{one['Events']} overlap in one notification"
    for one, two in combinations(found, 2):
        a, b = filters(one), filters(two)
        if (
            any(share(*pair) for pair in product(one["Events"], two["Events"]))
            and any_string(a["prefix"], b["prefix"], str.startswith)
            and any_string(a["suffix"], b["suffix"], str.endswith)
        ):
            yield f"{one} and {two} overlap"


def filters(notification: dict[str, Any]) -> dict[str, str]:
    """Return prefix and suffix. Without a filter, they match any other."""
    rules = notification.get("Filter", {}).get("Key", {}).get("FilterRules", [])
    return {"prefix": "", "suffix": "", **{each["Name"].lower(): each["Value"] for each in rules}}


def share(one: str, two: str) -> bool:
    """Return whether two events have a type in common: each may end in a wildcard."""
    if one.endswith("*"):
        return two.startswith(one[:-1])
    return one.startswith(two[:-1]) if two.endswith("*") else one == two


def any_string(one: str, two: str, has: Any) -> bool:
    """Return whether a string may begin, or end, with both."""
    return bool(has(one, two) or has(two, one))


def carriers(configuration: dict[str, Any], key: str, event: str) -> list[dict[str, Any]]:
    """Return the notifications that S3 sends for an event, such as ``s3:ObjectCreated:Put``."""
    encoded = quote_plus(key, safe="/!-_.*'()")
    return [
        each
        for each in notifications(configuration)
        if any(share(event, name) for name in each["Events"])
        and encoded.startswith(filters(each)["prefix"])
        and encoded.endswith(filters(each)["suffix"])
    ]

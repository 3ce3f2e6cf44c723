"""Clients of AWS for commands, chosen as the AWS CLI chooses them."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

from lava_s3trigger.cli.errors import WRONG_USAGE, CommandError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

T = TypeVar("T")
DEFAULT_REGION: Final = "us-east-1"


@dataclass(slots=True)
class Aws:
    """An AWS account and region. boto3 is imported when the first client is made."""

    profile: str | None = None
    region: str | None = None
    endpoint_url: str | None = None
    _session: Any = field(default=None, repr=False)

    def client(self, service: str, config: Any = None) -> Any:
        """Return a client.

        Args:
            service: Name of the service.
            config: A ``botocore.config.Config``, if not the user's own.

        Raises:
            CommandError: The profile, the region or the credentials are missing.
        """
        with reaching_aws():
            return self._made_session().client(
                service, endpoint_url=self.endpoint_url, config=config
            )

    def region_name(self) -> str:
        """Return the region, as the AWS CLI finds it, or `DEFAULT_REGION`.

        The profile's is known once a client was made: to read it takes botocore.
        """
        named = self._session.region_name if self._session else self._named_region()
        return str(named or DEFAULT_REGION)

    def _named_region(self) -> str | None:
        # As the AWS CLI does; boto3 does not look at the first variable.
        return self.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")

    def _made_session(self) -> Any:
        if self._session is None:
            import boto3  # noqa: PLC0415 - it takes longer than all else

            self._session = boto3.Session(
                profile_name=self.profile, region_name=self._named_region()
            )
        return self._session


@contextlib.contextmanager
def reaching_aws() -> Iterator[None]:
    """Turn errors of AWS inside the block into one line.

    Raises:
        CommandError: AWS refused a call, or could not be reached.
    """
    from botocore import exceptions  # noqa: PLC0415 - start-up

    try:
        yield
    except exceptions.ProfileNotFound as error:
        raise CommandError(
            f"{error}; `aws configure list-profiles` names those", WRONG_USAGE
        ) from None
    except exceptions.NoRegionError:
        message = "no AWS region: give --region, or set AWS_REGION"
        raise CommandError(message, WRONG_USAGE) from None
    except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError) as error:
        raise CommandError(f"no AWS credentials: {error}; give --profile") from None
    except exceptions.ClientError as error:
        answer = error.response.get("Error", {})
        raise CommandError(
            f"AWS refused {error.operation_name}:"
            f" {answer.get('Code', '?')}: {answer.get('Message', '')}"
        ) from None
    except exceptions.ParamValidationError as error:
        raise CommandError(" ".join(str(error).split()), WRONG_USAGE) from None
    except exceptions.BotoCoreError as error:
        raise CommandError(f"AWS cannot be reached: {error}") from None


def pieces(items: Iterable[T], number: int) -> Iterator[list[T]]:
    """Yield lists of so many items, the last of fewer."""
    rest = iter(items)
    while piece := list(islice(rest, number)):
        yield piece

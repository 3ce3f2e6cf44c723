"""The deployed function of a realm, read from its configuration."""

from __future__ import annotations

import logging
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.errors import WRONG_USAGE, CommandError
from lava_s3trigger.cli.output.streams import message
from lava_s3trigger.errors import SettingsError
from lava_s3trigger.settings import Settings

from .aws import reaching_aws

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .aws import Aws

_ARN_PARTS: Final = 7
_REALM: Final = "LAVA_REALM"
_INFO_LEVELS: Final = frozenset(["TRACE", "DEBUG", "INFO"])


@dataclass(frozen=True, slots=True)
class DeployedFunction:
    """A deployed function."""

    name: str
    arn: str
    """The ARN without a version or an alias."""
    settings: Settings
    """The settings that the function reads from its environment; see `unusable`."""
    configuration: dict[str, Any]
    """The answer of GetFunctionConfiguration."""
    unusable: Mapping[str, str] = field(default_factory=dict)
    """The errors of variables that the function refuses, by their names without ``LAVA_``.

    `settings` has defaults in their place. With such a variable the function does not start."""

    @property
    def realm(self) -> str:
        """Name of the realm."""
        return self.settings.realm

    @property
    def partition(self) -> str:
        """Such as ``aws`` or ``aws-cn``."""
        return self.arn.split(":")[1]

    @property
    def region(self) -> str:
        """AWS region."""
        return self.arn.split(":")[3]

    @property
    def account(self) -> str:
        """Id of the AWS account."""
        return self.arn.split(":")[4]

    @property
    def log_group(self) -> str:
        """Name of the log group."""
        logging = self.configuration.get("LoggingConfig", {})
        return str(logging.get("LogGroup") or f"/aws/lambda/{self.name}")

    @property
    def logs_dispatches(self) -> bool:
        """Whether it logs dispatches, and not only warnings or errors."""
        level = self.configuration.get("LoggingConfig", {}).get("ApplicationLogLevel", "INFO")
        return self.settings.log_level <= logging.INFO and level in _INFO_LEVELS

    @property
    def is_observing(self) -> bool:
        """Whether it only decides and logs, and dispatches nothing."""
        return self.settings.mode == "observe"

    @property
    def dead_letter_queue(self) -> str | None:
        """Name of the function's dead-letter queue, if it has one.

        Raises:
            CommandError: The value in the function's configuration is not the name of a queue.
        """
        if reason := self.unusable.get("S3TRIGGER_DEAD_LETTER_QUEUE"):
            raise CommandError(f"{self.name}: {reason}; which queue it parks in is not known")
        return self.settings.dead_letter_queue

    @property
    def intake_queue(self) -> str:
        """Name of the intake queue, if the stack made one."""
        return f"lava-{self.realm}-s3trigger-intake"


def function_name(realm: str) -> str:
    """Return the name that the stack gives the function of a realm."""
    return f"lava-{realm}-s3trigger"


def options_of(realm: str, function: str) -> str:
    """Return the options that name a function on a command line, such as ``--realm prod``."""
    named = "" if function == function_name(realm) else f" --function {shlex.quote(function)}"
    return f"--realm {shlex.quote(realm)}{named}"


def unqualified(arn: str) -> str:
    """Return the ARN of a function without a version or an alias."""
    return ":".join(arn.split(":")[:_ARN_PARTS])


def require_named(realm: str | None, function: str | None) -> None:
    """Require the name of the realm or of its function.

    Raises:
        CommandError: Neither is named.
    """
    if not realm and not function:
        raise CommandError(
            "no realm: name it with --realm (LAVA_REALM), or the function with --function",
            WRONG_USAGE,
        )


def find_function(aws: Aws, realm: str | None, function: str | None = None) -> DeployedFunction:
    """Find the function of a realm, and read its configuration.

    Args:
        aws: The account of the function.
        realm: Name of the realm; if None, the one in the function's configuration.
        function: Name of the function, if it is not the one that the stack gives.

    Raises:
        CommandError: There is no such function, it is of another realm, or its configuration
            names no realm and `realm` is None.
    """
    require_named(realm, function)
    name = function or function_name(str(realm))
    client = aws.client("lambda")
    with reaching_aws():
        try:
            configuration = client.get_function_configuration(FunctionName=name)
        except client.exceptions.ResourceNotFoundException:
            raise CommandError(
                f"there is no function {name} in {aws.region_name()}: name it with --function,"
                " or choose another region or account with --region or --profile"
            ) from None
    settings, unusable = _read_settings(
        name, configuration.get("Environment", {}).get("Variables", {}), realm
    )
    for reason in unusable.values():
        message(f"Warning: {name} cannot start, so that it handles no event: {reason}")
    if realm and settings.realm != realm:
        raise CommandError(
            f"{name} works for realm {settings.realm}, not {realm}: name another --realm or"
            " --function",
            WRONG_USAGE,
        )
    return DeployedFunction(
        configuration["FunctionName"],
        unqualified(configuration["FunctionArn"]),
        settings,
        configuration,
        unusable,
    )


def _read_settings(
    name: str, variables: Mapping[str, str], realm: str | None
) -> tuple[Settings, dict[str, str]]:
    """Return the settings of a function without invalid ones, and the errors of those."""
    usable = dict(variables)
    unusable: dict[str, str] = {}
    while True:
        try:
            return Settings.from_env(usable), unusable
        except SettingsError as error:
            reason = str(error)
            unusable[error.name.removeprefix("LAVA_")] = reason
            if error.name == _REALM:
                if not realm:
                    raise CommandError(
                        f"the configuration of {name} is not valid: {reason}; name the realm with"
                        " --realm"
                    ) from None
                usable[_REALM] = realm
            else:
                del usable[error.name]

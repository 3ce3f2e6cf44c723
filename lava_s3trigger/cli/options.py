"""Options that several commands share, and the class of all commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

F = TypeVar("F", bound="Callable[..., Any]")


class _PathType(click.Path):
    """A path that is not empty: an unset shell variable would mean the folder itself."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not value or "\0" in str(value):
            self.fail("the path is empty" if not value else "a path has no NUL", param, ctx)
        return super().convert(value, param, ctx)


PATH: Final = _PathType(allow_dash=True)


class Command(click.Command):
    """A command with ``--debug``, the meanings of its exit statuses, and examples.

    Args:
        yes: What exit status 0 means.
        no: What exit status 1 means.
        examples: Command lines for its help, two at least.
    """

    def __init__(
        self, *args: Any, yes: str, no: str, examples: Sequence[str], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.yes = yes
        self.no = no
        self.examples = examples
        self.params.append(
            click.Option(["--debug"], is_flag=True, help="Show the trace of a defect.")
        )

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        ctx.find_root().meta["debug"] = ctx.params.pop("debug", False)
        return super().invoke(ctx)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the meanings of the exit statuses, and the examples."""
        with formatter.section("Exit status"):
            formatter.write_dl(
                [("0", self.yes), ("1", self.no), ("2", "wrong usage"), ("3", "could not tell")]
            )
        with formatter.section("Examples"):
            for example in self.examples:
                formatter.write(f"{'':{formatter.current_indent}}{example}\n")
        super().format_epilog(ctx, formatter)


def together(*decorators: Callable[[F], F]) -> Callable[[F], F]:
    """Return one decorator that adds several options, in the order of the help."""

    def decorate(command: F) -> F:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


def paths_option(*names: str, help: str, metavar: str = "PATH") -> Callable[[F], F]:  # noqa: A002 - as click has it
    """Return an option that names files or folders, and may be repeated."""
    return click.option(
        *names, type=PATH, multiple=True, metavar=metavar, help=f"{help} May be repeated."
    )


def aws_options(command: F) -> F:
    """Add the options that choose a realm and an AWS account, named as in the AWS CLI."""
    return together(
        click.option("--realm", envvar="LAVA_REALM", help="Name of the realm.", show_envvar=True),
        click.option("--profile", help="Profile of the AWS CLI's configuration."),
        click.option("--region", help="AWS region."),
        click.option("--endpoint-url", help="Address of another server than AWS's."),
    )(command)


def entries_options(command: F) -> F:
    """Add the options that name files of entries."""
    return together(
        paths_option(
            "--triggers", help="File or folder of trigger entries, in place of the realm's table."
        ),
        paths_option(
            "--jobs", help="File or folder of job entries, in place of the realm's table."
        ),
    )(command)


def sources_options(command: F) -> F:
    """Add the options that name many objects, except listings of S3."""
    return together(
        paths_option(
            "--keys",
            metavar="FILE",
            help="File of keys or S3 URIs, one a line; - is standard input.",
        ),
        click.option("--bucket", help="Bucket of the keys in --keys that are not S3 URIs."),
        paths_option(
            "--inventory",
            "inventories",
            metavar="FILE",
            help="The manifest.json of an S3 Inventory, or one of its data files; a path or an"
            " S3 URI.",
        ),
    )(command)


def fail_on_option(*severities: str) -> Callable[[F], F]:
    """Return the option for the lowest severity that counts, one of some severities."""
    return click.option(
        "--fail-on",
        type=click.Choice([*severities, "none"]),
        default="warning",
        show_default=True,
        help="The least severe finding for which the exit status is 1.",
    )


def output_options(*formats: str) -> Callable[[F], F]:
    """Add the options for the output.

    Args:
        *formats: Names of formats; the first is the default.
    """
    return together(
        click.option(
            "--format",
            "format_",
            type=click.Choice(formats),
            default=formats[0],
            show_default=True,
            help="Format of the output.",
        ),
        output_option,
    )


def output_option(command: F) -> F:
    """Add the option that names a file for the output."""
    return click.option(
        "--output", type=PATH, metavar="FILE", help="File to write instead of standard output."
    )(command)

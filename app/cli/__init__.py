"""The command line: `activation`. One module for each group of commands; this one finds them and maps errors to exit codes.

Exit codes: 0 done, 1 the work has problems (listed), 2 wrong usage or configuration, 3 a service is unreachable.
"""

from __future__ import annotations

import errno
import io
import math
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module

import click
from redis.exceptions import RedisError

from app.cli.report import complain
from app.devstack.signals import ending_in_order
from app.errors import AccountThrottled, ActivationError, DestinationUnreachable, ServiceUnreachable, UsageError
from app.storage import explain
from app.text import is_whole

_COMMANDS = {
    "app.cli.acl": ("acl", "data-keys"),
    "app.cli.alerts": ("alerts",),
    "app.cli.console": ("console",),
    "app.cli.contact": ("contact",),
    "app.cli.demo": ("demo",),
    "app.cli.destinations": ("connect", "destinations", "disconnect", "forget", "pause", "resume"),
    "app.cli.doctor": ("doctor",),
    "app.cli.enqueue": ("enqueue",),
    "app.cli.failures": ("failures",),
    "app.cli.fields": ("check", "fields"),
    "app.cli.intake": ("intake", "source"),
    "app.cli.jobs": ("job", "jobs"),
    "app.cli.preview": ("preview",),
    "app.cli.runs": ("runs",),
    "app.cli.senders": ("refused", "sender-key"),
    "app.cli.stack": ("down", "metrics", "sandbox", "status", "up"),
    "app.cli.users": ("api-key", "audit", "user"),
    "app.cli.watch": ("watch",),
}


class _Commands(Mapping[str, click.Command]):
    """The commands by name, each imported only when used: importing all takes as long as most commands do."""

    def __init__(self) -> None:
        self._modules = {name: module for module, names in _COMMANDS.items() for name in names}

    def __getitem__(self, name: str) -> click.Command:
        command: click.Command = getattr(import_module(self._modules[name]), name.replace("-", "_"))
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)


@click.group(
    commands=_Commands(),
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="activation-pipeline", prog_name="activation")
def activation() -> None:
    """Stream audience profiles into Salesforce Marketing Cloud."""


def _check_arguments(words: list[str]) -> None:
    """Check that all arguments are UTF-8: others arrive as lone surrogates, which neither Redis nor a log accepts.

    Raises: `UsageError`.
    """
    for number, word in enumerate(words, 1):
        if not is_whole(word):
            raise UsageError(
                f"Argument {number} is not text in UTF-8.",
                remedy="Type it anew; rename a file whose name is not in UTF-8.",
            )


def main() -> None:
    """Run a command; an expected failure prints one clear message and no traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without ✔ must not end a command
    try:
        _check_arguments(sys.argv[1:])
        # without standalone mode click returns the code of an `Exit`; the commands themselves return None
        with ending_in_order():
            sys.exit(activation(standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        complain("Stopped.")
        sys.exit(130)
    except (DestinationUnreachable, AccountThrottled) as error:
        wait = f" in {math.ceil(error.wait_seconds)} s" if error.wait_seconds else ""
        complain(str(error), f"{error.remedy} Nothing was changed; try again{wait}.".strip())
        sys.exit(ServiceUnreachable.exit_code)
    except ActivationError as error:
        complain(str(error), error.remedy, getattr(error, "problems", ()))
        sys.exit(error.exit_code)
    except RedisError as error:
        meant = explain(error)
        complain(str(meant), meant.remedy)
        sys.exit(meant.exit_code)
    except BrokenPipeError:  # `activation runs … | head`
        sys.exit(0)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise
        complain(f"What this command says cannot be written: {error.strerror}.", "Make room, or send it elsewhere.")
        sys.exit(ServiceUnreachable.exit_code)


if __name__ == "__main__":
    main()

"""The command line: `activation`. One module for each group of commands; this one binds them and ends them rightly.

Exit codes: 0 done, 1 the work has problems (listed), 2 wrong usage or configuration, 3 a service is unreachable.
"""

from __future__ import annotations

import io
import math
import sys

import click
from redis.exceptions import RedisError

from app.cli.acl import acl, data_keys
from app.cli.alerts import alerts
from app.cli.console import console
from app.cli.contact import contact
from app.cli.demo import demo
from app.cli.destinations import connect, destinations, disconnect, forget, pause, resume
from app.cli.doctor import doctor
from app.cli.enqueue import enqueue
from app.cli.failures import failures
from app.cli.fields import check, fields
from app.cli.intake import intake, source
from app.cli.jobs import job, jobs
from app.cli.preview import preview
from app.cli.report import complain
from app.cli.runs import runs
from app.cli.senders import refused, sender_key
from app.cli.stack import down, metrics, sandbox, status, up
from app.cli.users import api_key, audit, user
from app.cli.watch import watch
from app.errors import AccountThrottled, ActivationError, DestinationUnreachable, ServiceUnreachable, UsageError
from app.storage import explain
from app.text import is_whole


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="activation-pipeline", prog_name="activation")
def activation() -> None:
    """Stream audience profiles into Salesforce Marketing Cloud."""


for command in (
    demo, up, status, down, doctor, watch, sandbox, metrics, intake, source, connect, destinations, pause, resume, disconnect,
    forget, fields,
    check, contact, preview, enqueue, job, jobs, runs, alerts, failures, refused, sender_key, acl, data_keys,
    console, user, api_key, audit,
):  # fmt: skip
    activation.add_command(command)


def _check_arguments(words: list[str]) -> None:
    """What is no UTF-8 comes from the system as lone surrogates, which neither Redis nor a log takes. Raises `UsageError`."""
    for number, word in enumerate(words, 1):
        if not is_whole(word):
            raise UsageError(
                f"Argument {number} is not text in UTF-8.",
                remedy="Type it anew; rename a file whose name is not in UTF-8.",
            )


def main() -> None:
    """Entry point: an expected failure prints one clear message and no traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that has no ✔ shall not end a command
    try:
        _check_arguments(sys.argv[1:])
        # without its standalone mode click returns the code of an `Exit`; the commands themselves return None
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


if __name__ == "__main__":
    main()

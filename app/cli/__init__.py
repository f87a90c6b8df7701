"""The command line: `activation`. One module for each group of commands; this one binds them and ends them rightly.

Exit codes: 0 done, 1 the work has problems (listed), 2 wrong usage or configuration, 3 a service is unreachable.
"""

from __future__ import annotations

import sys

import click
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from app.cli.demo import demo
from app.cli.destinations import connect, destinations, disconnect, forget, pause, resume
from app.cli.enqueue import enqueue, job
from app.cli.failures import failures
from app.cli.fields import check, fields
from app.cli.report import complain
from app.cli.runs import alerts, runs
from app.cli.stack import metrics, sandbox, up
from app.errors import ActivationError, CallError, ServiceUnreachable

UNREACHABLE = 3


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="activation-pipeline", prog_name="activation")
def activation() -> None:
    """Stream audience profiles into Salesforce Marketing Cloud."""


for command in (
    demo, up, sandbox, metrics, connect, destinations, pause, resume, disconnect, forget, fields, check, enqueue, job, runs, alerts,
    failures,
):  # fmt: skip
    activation.add_command(command)


def main() -> None:
    """Entry point: an expected failure prints one clear message and no traceback."""
    try:
        activation(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        complain("Stopped.")
        sys.exit(130)
    except click.exceptions.Exit as end:
        sys.exit(end.exit_code)
    except CallError as error:
        complain(str(error), error.remedy)
        unreachable = (
            error.code in ("no_connection", "no_tls", "timeout") or type(error).__name__ == "DestinationUnreachable"
        )
        sys.exit(UNREACHABLE if unreachable else 1)
    except ActivationError as error:
        complain(str(error), error.remedy, getattr(error, "problems", ()))
        sys.exit(error.exit_code)
    except (RedisConnectionError, RedisTimeoutError):
        complain("Redis does not answer.", "Check ACTIVATION_REDIS_URL and that the server runs.")
        sys.exit(ServiceUnreachable.exit_code)
    except BrokenPipeError:  # `activation runs … | head`
        sys.exit(0)


if __name__ == "__main__":
    main()

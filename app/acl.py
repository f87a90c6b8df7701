"""The least rights of each role in Redis, as rules for Redis users (ACL).

There are two servers, or two databases of one: the *state* and the *broker*. Rights do not replace the sealing keys:
somebody who can write to the state can drop and delay; with the keys as well, also change. docs/decisions/0009 explains why
each role has what it has.
"""

from __future__ import annotations

from dataclasses import dataclass

# by category: naming a subcommand that only newer servers have (client|setinfo, 7.2) is an error on older ones
_CONNECTING = "+@connection -@admin -@dangerous"
_SCRIPTS = "+eval +evalsha +script|load +script|exists"
# everything with the pipeline's keys, but nothing that concerns the server as a whole
_WORKING = f"{_CONNECTING} {_SCRIPTS} +@read +@write +@transaction +time -@dangerous -@admin -keys +info"
# kombu keeps queues as lists with unacknowledged messages beside them, binds expiring queues by scripts, and talks to all workers by
# channels
_QUEUES = f"{_CONNECTING} {_SCRIPTS} +@read +@write +@transaction +@pubsub +@blocking +time +watch -@dangerous -@admin -keys +info"


# Redis reads its append-only file back as this user, leaves out each script or transaction that the user may not do, and starts all
# the same. Off and without a password, it lets nobody in
DEFAULT_USER = "default off ~* &* +@all"


@dataclass(frozen=True, slots=True)
class Role:
    """`name`: the Redis user. `rules`: what follows its password."""

    name: str
    server: str
    holds: str
    rules: str


ROLES = (
    Role(
        "worker",
        "state",
        "workers, and the commands of operators",
        f"~act:* resetchannels {_WORKING} +acl|whoami +acl|dryrun",
    ),
    Role(
        "producer",
        "state",
        "whoever enqueues with the Python class",
        "%R~act:{*}:config %R~act:{*}:pepper %R~act:{*}:secret ~act:{*}:epoch ~act:{*}:lane:*:live ~act:{*}:lane:*:backfill "
        "~act:{*}:lane:*:wake ~act:{*}:lane:*:lease ~act:{*}:chunk:* ~act:{*}:job:* ~act:{*}:jobs ~act:{*}:run:* resetchannels "
        f"{_CONNECTING} {_SCRIPTS} +get +mget +exists +time +info +set +xadd +hincrby +hget +hsetnx +hmget +zadd +expire +persist "
        "+incr",
    ),
    Role(
        "intake",
        "state",
        "the HTTP intake",
        "%R~act:{*}:config %R~act:{*}:pepper %R~act:{*}:secret ~act:{*}:epoch ~act:{*}:lane:*:live ~act:{*}:lane:*:backfill "
        "~act:{*}:lane:*:wake ~act:{*}:lane:*:lease ~act:{*}:chunk:* ~act:{*}:job:* ~act:{*}:jobs ~act:{*}:run:* ~act:{*}:seen:* "
        "%R~act:sources ~act:intake:* resetchannels "
        f"{_CONNECTING} {_SCRIPTS} +get +mget +exists +time +info +set +xadd +hincrby +hmget +zadd +expire +persist +incr +hget "
        "+hset +hsetnx +hgetall +incrby",
    ),
    Role(
        "console",
        "state",
        "the console",
        f"~act:* resetchannels {_WORKING}",
    ),
    Role(
        "metrics",
        "state",
        "`activation metrics`",
        f"%R~act:* resetchannels {_CONNECTING} +@read +time -@dangerous -keys +info",
    ),
    Role("worker", "broker", "workers", f"~* allchannels {_QUEUES}"),
    Role(
        "beat",
        "broker",
        "beat, and producers, the intake and the console, which wake lanes",
        f"~* allchannels {_QUEUES}",
    ),
    Role("flower", "broker", "Flower", f"~* allchannels {_QUEUES}"),
    Role(
        "sender",
        "broker",
        "other programs that send `activation.enqueue`",
        # before it sends, a Celery client binds the queue and counts its messages in each priority
        f"~activation %R~activation* ~_kombu.binding.activation ~_kombu.binding_permanent.activation resetchannels {_CONNECTING} "
        "+llen +lpush +sadd +smembers +multi +exec +info",
    ),
)


def rule_of(role: Role, password: str) -> str:
    """Return a line of an ACL file, which is also what follows `--user` of redis-server."""
    return f"{role.name} on >{password} {' '.join(role.rules.split())}"

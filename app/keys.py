"""Every Redis key: its type, who writes it, and how long it lives.

All keys of a destination carry the hash tag `{destination}` and all keys of an account `{account}`, so that a script touches
one slot. That alone is no support of Redis Cluster: a connection carries the keys of all slots and follows no redirection.
One server, with replicas to fail over to, is what is supported.

An *account* is one Marketing Cloud tenant (its subdomain): the rate, the number of calls in flight and the yearly quota belong
to it, however many destinations share it.

============================  ======  ==================================  ====================================================================  ==========================================================
key                           type    written by                          life                                                                  meaning
============================  ======  ==================================  ====================================================================  ==========================================================
act:destinations              set     destinations                        for good                                                              ids of all connected destinations
act:accounts                  set     destinations                        for good                                                              account keys of all connected destinations
act:catalogs                  zset    destinations                        until disconnect                                                      destinations by the time (ms) of the last fetch of their definitions
act:refreshing                string  sweep.refresh                       minutes                                                               who fetches definitions
act:{!alerts}:events          stream  reporting.alerts                    bounded by count                                                      the newest events of alerts (opened, repeated, closed)
act:{!alerts}:open            hash    reporting.alerts                    until it closes                                                       KIND|DESTINATION -> the open alert
act:{!alerts}:signals         hash    reporting.alerts                    an hour after it, swept                                               KIND|DESTINATION -> what happened last, and when
act:{!alerts}:muted           hash    reporting.alerts                    until unmuted                                                         KIND|DESTINATION, either may be *, -> until when (ms, 0: for good)
act:{!alerts}:noted           hash    reporting.alerts                    while connected, swept                                                KIND|DESTINATION -> the hour of the run that was told last
act:{!alerts}:outbox          hash    reporting.alerts, reporting.outbox  a day                                                                 id -> a message that its channel has not taken yet
act:{!alerts}:sending         string  reporting.outbox                    a minute                                                              one task sends messages at a time
act:processes                 hash    reporting.processes                 an hour, swept                                                        process -> what it is and when it was seen
act:swept                     string  reporting.processes                 for good                                                              time (ms) of the last sweep
act:refused                   stream  reporting.refused                   bounded by count                                                      the newest messages that could not be received, sealed
act:refused:count             string  reporting.refused                   for good                                                              how many there were
act:sources                   hash    intake.sources                      until revoked                                                         name of who may send by HTTP -> its record, sealed
act:intake:counts             hash    intake.counts                       for good                                                              counts of the HTTP intake by source, and when each was last seen (ms)
act:intake:rate:NAME          string  intake.rate                         until they are paid                                                   profiles that a source owes beyond its rate, and as of when (ms)
act:audit                     stream  reporting.audit                     bounded by count                                                      who did what when, sealed
act:audit:refused             stream  reporting.audit                     bounded by count                                                      refused tries to sign in, sealed; apart from what was done
act:console:users             hash    access.users                        until removed                                                         name -> what a user may do and how it signs in, sealed
act:console:api-keys          hash    access.api_keys                     until revoked                                                         name -> what an API key may do, sealed
act:console:session:DIGEST    string  access.sessions                     hours                                                                 a session of the console, sealed
act:console:link:DIGEST       string  access.sessions                     an hour                                                               a link that signs in once, sealed
act:console:tries:DIGEST      string  access.sessions                     minutes                                                               how often somebody tried to sign in
act:sweep                     string  sweep                               seconds                                                               guards a sweep against a second beat
act:{D}:config                string  destinations                        until disconnect                                                      the destination without its secret, sealed
act:{D}:secret                string  destinations                        until disconnect                                                      its client secret, sealed for accounts
act:{D}:secret_since          string  destinations                        until disconnect                                                      when its client secret was connected first (ms)
act:{D}:about                 string  destinations                        until disconnect                                                      its name, account and limits in clear
act:{D}:pepper                string  destinations                        until disconnect                                                      sealed key of the contact tags
act:{D}:epoch                 string  destinations                        until disconnect                                                      names the account, contact key, connection and last forgetting that lanes work for
act:{D}:state                 hash    destinations                        until disconnect                                                      enabled, paused or stopped, since, why, who probes
act:{D}:catalog               string  destinations                        until disconnect                                                      attribute-set definitions with their time
act:{D}:catalog:failure       string  destinations                        until the next good one                                               why the last fetch failed
act:{D}:lane:N:live           stream  lanes                               each until it is settled                                              profiles waiting, sealed
act:{D}:lane:N:backfill       stream  lanes                               each until it is settled                                              the same, behind live
act:{D}:lane:N:later          zset    lanes                               each until it is due                                                  parked entries by the time they are due (ms)
act:{D}:lane:N:parked         stream  lanes                               each until it is due                                                  the parked entries themselves
act:{D}:lane:N:lease          string  lanes                               ACTIVATION_LEASE_SECONDS, renewed                                     token of the worker that holds the lane
act:{D}:lane:N:wake           string  lanes                               ACTIVATION_WAKE_UP_SECONDS, behind what its destination has to wait   token of the wake-up that is on its way
act:{D}:lane:N:window         hash    lanes                               until settled                                                         entries being worked on -> tag of their contact, and `by` whom
act:{D}:lane:N:recovery       hash    lanes                               until settled                                                         entries of a worker that went away -> tag of their contact
act:{D}:lane:N:crashes        hash    lanes                               while there is a recovery                                             contact tag -> tokens of workers that went away with it (!: alone)
act:{D}:lane:N:settled        string  lanes                               a day                                                                 token and number of the last settlement, so that a repeat does nothing
act:{D}:lane:N:delivered:H    hash    lanes                               each ACTIVATION_DELIVERED_LIFE_DAYS, swept                            contact tag -> what was delivered to the account and business unit H
act:{D}:cleaned               string  sweep                               until disconnect                                                      lane and place where cleaning goes on
act:{D}:chunk:ID              string  lanes                               CHUNK_LIFE_SECONDS, of the intake INTAKE_CHUNK_LIFE_SECONDS           this chunk is in its lanes already
act:{D}:seen:WINDOW           hash    intake.repeats                      SEEN_LIFE_SECONDS and a window                                        keyed digest of a body -> when it first came; WINDOW counts SEEN_WINDOW_SECONDS
act:{D}:jobs                  zset    lanes                               each as long as its counts                                            jobs by the time (ms) of their last chunk
act:{D}:jobs:looked_at        string  sweep                               until disconnect                                                      place in the list of jobs where forgetting goes on
act:{D}:job:ID                hash    lanes, producer                     while anything of it is pending, then JOB_LIFE_SECONDS                counts by outcome, who began it (`source`), of which files (`load`) and whether in full (`loaded`)
act:{D}:run:HOUR              hash    lanes, reporting.measures           RUN_LIFE_SECONDS                                                      counts of one hour (epoch hours)
act:{D}:totals                hash    reporting.totals                    until disconnect                                                      counts of all runs that have ended, and `folded`: the first hour not among them
act:{D}:failures              zset    lanes                               each ACTIVATION_FAILURES_KEPT_DAYS, at most ACTIVATION_FAILURES_KEPT  failure ids by time (ms)
act:{D}:failed                hash    lanes                               as its failure id                                                     failure id -> sealed record
act:{D}:locked                string  lanes                               LOCKED_LIFE_SECONDS                                                   waiting entries from before this moment (ms) that no key opens become failures
act:{A}:token:CLIENT          string  sfmc.tokens                         ends before the token does                                            access token, sealed
act:{A}:token:CLIENT:lock     string  sfmc.tokens                         seconds                                                               one token request at a time
act:{A}:token:CLIENT:refused  string  sfmc.tokens                         at most 20 min                                                        the last refusal of a token request, sealed
act:{A}:token:requests        hash    sfmc.tokens                         for good                                                              token requests that were granted and refused
act:{A}:pace                  hash    pacing                              a day                                                                 the schedule of starts, the back-off, and what was learned
act:{A}:observed              hash    pacing                              an hour                                                               what was seen since the pace was last learned
act:{A}:shares                hash    pacing                              a minute                                                              holder -> how far its own schedule is
act:{A}:lead                  string  delivery.leads                      less than ACTIVATION_LEASE_SECONDS, renewed; * SPREAD_SECONDS         the worker that works at the account's lanes, or * for all of them
act:{A}:permits               hash    pacing                              each 10 s, renewed; all a day                                         holder -> calls it may have in flight, until when, and would like to
act:{A}:calls                 hash    pacing                              CALLS_LIFE_SECONDS                                                    day (epoch days) and year (y2026) -> calls made
============================  ======  ==================================  ====================================================================  ==========================================================
"""

from __future__ import annotations

from dataclasses import dataclass, field

LANES = 16  # contacts are spread over these; a change would put a contact's waiting entries into two lanes
DESTINATIONS = "act:destinations"
ACCOUNTS = "act:accounts"
ALERTS = "act:{!alerts}"  # no destination and no account has such a name
ALERTS_EVENTS = f"{ALERTS}:events"
ALERTS_OPEN = f"{ALERTS}:open"
ALERTS_SIGNALS = f"{ALERTS}:signals"
ALERTS_MUTED = f"{ALERTS}:muted"
ALERTS_NOTED = f"{ALERTS}:noted"
ALERTS_OUTBOX = f"{ALERTS}:outbox"
ALERTS_SENDING = f"{ALERTS}:sending"
PROCESSES = "act:processes"
SWEPT = "act:swept"
SWEEP = "act:sweep"
AUDIT = "act:audit"
AUDIT_REFUSED = "act:audit:refused"
USERS = "act:console:users"
API_KEYS = "act:console:api-keys"
CATALOGS = "act:catalogs"
REFRESHING = "act:refreshing"
REFUSED = "act:refused"
SOURCES = "act:sources"
INTAKE_COUNTS = "act:intake:counts"
REFUSED_COUNT = "act:refused:count"

JOB_LIFE_SECONDS = 30 * 86_400
RUN_LIFE_SECONDS = 35 * 86_400
LOCKED_LIFE_SECONDS = 86_400
CHUNK_LIFE_SECONDS = 6 * 3_600  # longer than a broker may keep a message before giving it out again
INTAKE_CHUNK_LIFE_SECONDS = 60  # needed only when a connection repeats a command by itself
SEEN_WINDOW_SECONDS = 300
SEEN_WINDOWS = 3  # the present one and two before, so each body is remembered for at least ten minutes
SEEN_LIFE_SECONDS = SEEN_WINDOW_SECONDS * SEEN_WINDOWS
CALLS_LIFE_SECONDS = 800 * 86_400
SPREAD_SECONDS = 600  # an account that needed more than one worker is likely to need it again


def intake_rate(source: str) -> str:
    return f"act:intake:rate:{source}"


def session(digest: str) -> str:
    return f"act:console:session:{digest}"


def sign_in_link(digest: str) -> str:
    return f"act:console:link:{digest}"


def sign_in_tries(digest: str) -> str:
    return f"act:console:tries:{digest}"


@dataclass(frozen=True, slots=True)
class LaneKeys:
    """The keys of one lane; all share the destination's hash tag."""

    base: str
    live: str = field(init=False)
    backfill: str = field(init=False)
    later: str = field(init=False)
    parked: str = field(init=False)
    lease: str = field(init=False)
    wake: str = field(init=False)
    window: str = field(init=False)
    recovery: str = field(init=False)
    crashes: str = field(init=False)
    settled: str = field(init=False)

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if name != "base":
                object.__setattr__(self, name, f"{self.base}:{name}")

    def stream(self, *, backfill: bool) -> str:
        return self.backfill if backfill else self.live

    def delivered(self, holdings: str) -> str:
        return f"{self.base}:delivered:{holdings}"


@dataclass(frozen=True, slots=True)
class DestinationKeys:
    """The keys of one destination."""

    destination_id: str

    @property
    def base(self) -> str:
        return f"act:{{{self.destination_id}}}"

    @property
    def config(self) -> str:
        return f"{self.base}:config"

    @property
    def secret(self) -> str:
        return f"{self.base}:secret"

    @property
    def secret_since(self) -> str:
        return f"{self.base}:secret_since"

    @property
    def about(self) -> str:
        return f"{self.base}:about"

    @property
    def pepper(self) -> str:
        return f"{self.base}:pepper"

    @property
    def state(self) -> str:
        return f"{self.base}:state"

    @property
    def epoch(self) -> str:
        return f"{self.base}:epoch"

    @property
    def catalog(self) -> str:
        return f"{self.base}:catalog"

    @property
    def failures(self) -> str:
        return f"{self.base}:failures"

    @property
    def failed(self) -> str:
        return f"{self.base}:failed"

    @property
    def locked(self) -> str:
        return f"{self.base}:locked"

    @property
    def every_lane(self) -> LaneKeys:
        """Patterns for SCAN."""
        return LaneKeys(f"{self.base}:lane:*")

    def lane(self, lane: int) -> LaneKeys:
        return LaneKeys(f"{self.base}:lane:{lane}")

    @property
    def catalog_failure(self) -> str:
        return f"{self.catalog}:failure"

    @property
    def cleaned(self) -> str:
        return f"{self.base}:cleaned"

    @property
    def jobs(self) -> str:
        return f"{self.base}:jobs"

    @property
    def jobs_looked_at(self) -> str:
        return f"{self.jobs}:looked_at"

    def chunk(self, chunk_id: str) -> str:
        return f"{self.base}:chunk:{chunk_id}"

    def seen(self, window: int) -> str:
        return f"{self.base}:seen:{window}"

    def job(self, job_id: str) -> str:
        return f"{self.base}:job:{job_id}"

    def run(self, hour: int) -> str:
        return f"{self.base}:run:{hour}"

    @property
    def totals(self) -> str:
        return f"{self.base}:totals"

    @property
    def everything(self) -> str:
        """A SCAN pattern for `disconnect`."""
        return f"{self.base}:*"


@dataclass(frozen=True, slots=True)
class AccountKeys:
    """The keys of one account (Marketing Cloud tenant)."""

    account: str

    @property
    def base(self) -> str:
        return f"act:{{{self.account}}}"

    def token(self, client: str) -> str:
        return f"{self.base}:token:{client}"

    def token_lock(self, client: str) -> str:
        return f"{self.base}:token:{client}:lock"

    def token_refused(self, client: str) -> str:
        return f"{self.base}:token:{client}:refused"

    @property
    def token_requests(self) -> str:
        return f"{self.base}:token:requests"

    @property
    def pace(self) -> str:
        return f"{self.base}:pace"

    @property
    def observed(self) -> str:
        return f"{self.base}:observed"

    @property
    def shares(self) -> str:
        return f"{self.base}:shares"

    @property
    def lead(self) -> str:
        return f"{self.base}:lead"

    @property
    def permits(self) -> str:
        return f"{self.base}:permits"

    @property
    def calls(self) -> str:
        return f"{self.base}:calls"

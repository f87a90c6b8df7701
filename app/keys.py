"""Every Redis key: its type, who writes it, and how long it lives.

All keys of a destination carry the hash tag `{destination}` and all keys of an account `{account}`, so that one script
touches one slot and Redis Cluster works. An *account* is one Marketing Cloud tenant (its subdomain): the rate, the
number of calls in flight and the yearly quota belong to it, however many destinations share it.

================================  ======  ==================  ==========================================================
key                               type    written by          meaning and life
================================  ======  ==================  ==========================================================
act:destinations                  set     destinations        ids of all connected destinations; for good
act:accounts                      set     destinations        account keys of all connected destinations; for good
act:catalogs                      zset    destinations        destinations by the time (ms) of the last fetch of their definitions; until disconnect
act:refreshing                    string  destinations        who fetches definitions; minutes
act:{!alerts}:events              stream  alerts              the newest events of alerts (opened, repeated, closed), bounded by count
act:{!alerts}:open                hash    alerts              KIND|DESTINATION -> the open alert; until it closes
act:{!alerts}:signals             hash    alerts              KIND|DESTINATION -> what happened last, and when; an hour after it, swept
act:{!alerts}:muted               hash    alerts              KIND|DESTINATION, either may be *, -> until when (ms, 0: for good); until unmuted
act:{!alerts}:noted               hash    alerts              KIND|DESTINATION -> the hour of the run that was told last; while connected, swept
act:{!alerts}:outbox              hash    alerts              id -> a message that its channel has not taken yet; a day
act:{!alerts}:sending             string  alerts              one task sends messages at a time; a minute
act:processes                     hash    presence            process -> what it is and when it was seen; an hour, swept
act:swept                         string  sweep               time (ms) of the last sweep; for good
act:refused                       stream  refused             the newest messages that could not be received, sealed; bounded by count
act:refused:count                 string  refused             how many there were; for good
act:sources                       hash    intake.sources      name of who may send by HTTP -> its record, sealed; until revoked
act:intake:counts                 hash    intake              counts of the HTTP intake by source, and when each was last seen (ms); for good
act:intake:rate:NAME              string  intake              profiles that a source owes beyond its rate, and as of when (ms); until they are paid
act:audit                         stream  audit               who did what when, sealed; bounded by count
act:audit:refused                 stream  audit               refused tries to sign in, sealed; bounded by count, apart from what was done
act:console:users                 hash    access              name -> what a user may do and how it signs in, sealed; until removed
act:console:api-keys              hash    access              name -> what an API key may do, sealed; until revoked
act:console:session:DIGEST        string  access              a session of the console, sealed; hours
act:console:link:DIGEST           string  access              a link that signs in once, sealed; an hour
act:console:tries:DIGEST          string  access              how often somebody tried to sign in; minutes
act:sweep                         string  sweep               guards a sweep against a second beat; seconds
act:{D}:config                    string  destinations        the destination without its secret, sealed; until disconnect
act:{D}:secret                    string  destinations        its client secret, sealed for accounts; until disconnect
act:{D}:secret_since              string  destinations        when its client secret was connected first (ms); until disconnect
act:{D}:about                     string  destinations        its name, account and limits in clear; until disconnect
act:{D}:pepper                    string  destinations        sealed key of the contact tags; until disconnect
act:{D}:epoch                     string  destinations        names the account, contact key, connection and last forgetting that lanes work for; until disconnect
act:{D}:state                     hash    destinations        enabled, paused or stopped, since, why, who probes; until disconnect
act:{D}:catalog                   string  destinations        attribute-set definitions with their time; until disconnect
act:{D}:catalog:failure           string  destinations        why the last fetch failed; until the next good one
act:{D}:lane:N:live               stream  producer, lanes     profiles waiting, sealed; each until it is settled
act:{D}:lane:N:backfill           stream  producer, lanes     the same, behind live
act:{D}:lane:N:later              zset    lanes               parked entries by the time they are due (ms)
act:{D}:lane:N:parked             stream  lanes               the parked entries themselves
act:{D}:lane:N:lease              string  lanes               token of the worker that holds the lane; LEASE, renewed
act:{D}:lane:N:wake               string  producer, lanes     token of the wake-up that is on its way; WAKE_UP_SECONDS
act:{D}:lane:N:window             hash    lanes               entries being worked on -> tag of their contact, and `by` whom; until settled
act:{D}:lane:N:recovery           hash    lanes               entries of a worker that went away -> tag of their contact; until settled
act:{D}:lane:N:crashes            hash    lanes               contact tag -> tokens of workers that went away with it (!: alone); while there is a recovery
act:{D}:lane:N:settled            string  lanes               token and number of the last settlement, so that a repeat does nothing; a day
act:{D}:lane:N:delivered:H        hash    lanes               contact tag -> what was delivered to the account and business unit H; DELIVERED_LIFE, swept
act:{D}:cleaned                   string  sweep               lane and place where cleaning goes on; until disconnect
act:{D}:chunk:ID                  string  producer            this chunk is in its lanes already; CHUNK_LIFE
act:{D}:seen:WINDOW               hash    intake              keyed digest of a body -> when it first came; WINDOW counts SEEN_WINDOW; SEEN_LIFE
act:{D}:jobs                      zset    producer            jobs by the time (ms) of their last chunk; bounded by age
act:{D}:jobs:looked_at            string  sweep               place in the list of jobs where forgetting goes on; until disconnect
act:{D}:job:ID                    hash    producer, lanes     counts by outcome, who began it (`source`), of which files (`load`) and whether in full (`loaded`); while anything of it is pending, then JOB_LIFE
act:{D}:run:HOUR                  hash    producer, lanes     counts of one hour (epoch hours); RUN_LIFE
act:{D}:totals                    hash    sweep               counts of all runs that have ended, and `folded`: the first hour not among them; until disconnect
act:{D}:failures                  zset    lanes               failure ids by time (ms); bounded by age and count
act:{D}:failed                    hash    lanes               failure id -> sealed record
act:{D}:locked                    string  lanes               waiting entries from before this moment (ms) that no key opens become failures; LOCKED_LIFE
act:{A}:token:CLIENT              string  sfmc.tokens         access token, sealed; ends before the token does
act:{A}:token:CLIENT:lock         string  sfmc.tokens         one token request at a time; seconds
act:{A}:token:CLIENT:refused     string  sfmc.tokens         the last refusal of a token request, sealed; at most 20 min
act:{A}:token:requests            hash    sfmc.tokens         token requests that were granted and refused; for good
act:{A}:pace                      hash    pacing              the schedule of starts, the back-off, and what was learned; a day
act:{A}:observed                  hash    pacing              what was seen since the last look at the pace; an hour
act:{A}:shares                    hash    pacing              holder -> how far its own schedule is; a minute
act:{A}:lead                      string  delivery            the worker that works at the account's lanes, or * for all of them; less than LEASE, renewed; SPREAD
act:{A}:permits                   hash    pacing              holder -> calls it may have in flight, until when, and would like to
act:{A}:calls                     hash    pacing              day (epoch days) and year (y2026) -> calls made; CALLS_LIFE
================================  ======  ==================  ==========================================================
"""

from __future__ import annotations

from dataclasses import dataclass, field

LANES = 16  # contacts are spread over this many; a change would send the waiting entries of a contact to two lanes
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
INTAKE_CHUNK_LIFE_SECONDS = 60  # only a connection's own repeat of a command asks for it
SEEN_WINDOW_SECONDS = 300
SEEN_WINDOWS = 3  # the present one and two before: each body is remembered for ten minutes at least
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

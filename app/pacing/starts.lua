#!lua flags=allow-oom
-- The next starts of calls to an account, for one holder (a worker process): an even schedule whose next free moment is `tat` (GCRA).
-- What the holder reports and whether it is its turn to learn the pace travel along.
--
-- KEYS  1 pace, 2 shares, 3 calls, 4 observed
-- ARGV  1 now us (0: the clock of Redis), 2 holder, 3 starts wanted, 4 us between starts at the least, 5 us to reach ahead,
--       6 kind (live, backfill, or urgent: live, of a destination that nobody waited for here until now),
--       7 most calls a year (0: no end), 8 life of the calls s, 9 starts of before that were not used,
--       10 us until the pace is to be learned again, 11 us until the holder can use the answer, then what was observed: name, amount, ...
-- Reply now us, starts, us until the first, us between them, us to wait before asking again, why (throttled, quota, rate or ''),
--       1 when it is the holder's turn to learn, 1 when somebody is short of permits
--
-- Nothing that was missed is made up for: after a pause the schedule begins anew, without a burst. A holder that has used less than
-- its share of the schedule reaches farther ahead than the others, and the more so the more there are, so that none is always too
-- late; a backfill less far. What is urgent has one start beyond what all others reach, or the large backlog of one destination
-- would keep out the few calls of another; not for a holder that is far beyond its share.
-- A clock that goes back, as by a fail-over, leaves no schedule that lies farther ahead than any holder reaches, and no wait that began
-- in what is the future now.
-- After a refusal starts are given singly, until a call is accepted.
-- Safe to repeat: a second run leaves a gap in the schedule, counts twice what was observed, and its own starts as well as those that
-- were not used: the year's count may be off by as many either way. Never a call beyond the rate.
local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local holder, wanted = ARGV[2], tonumber(ARGV[3])
local FORGET_US, SINGLY_US, SCARCE_US, BACK_US = 2000000, 1000000, 500000, 1000000

local accepted = false
for index = 12, #ARGV, 2 do
  redis.call('HINCRBY', KEYS[4], ARGV[index], ARGV[index + 1])
  accepted = accepted or ARGV[index] == 'accepted'
end
if #ARGV > 11 and redis.call('HSETNX', KEYS[4], 'since', string.format('%.0f', now)) == 1 then
  redis.call('EXPIRE', KEYS[4], 3600)
end

local pace = redis.call('HMGET', KEYS[1], 'tat', 'blocked', 'interval', 'careful', 'single', 'learn_at', 'calls', 'scarce',
  'since')
local tat, blocked, careful = tonumber(pace[1]) or 0, tonumber(pace[2]) or 0, pace[4] == '1'
if (tonumber(pace[9]) or 0) > now + BACK_US then
  blocked, careful = 0, false
end
local interval = math.max(tonumber(ARGV[4]), tonumber(pace[3]) or 0)
local lead = tonumber(ARGV[11])
tat = math.min(tat, now + lead + 2 * tonumber(ARGV[5]) + 3 * interval)
local learns = 0
local changes = {}
local function set(name, value)
  changes[#changes + 1] = name
  changes[#changes + 1] = string.format('%.0f', value)
end
local learn_at = tonumber(pace[6]) or 0
if now >= learn_at or learn_at > now + tonumber(ARGV[10]) then
  learns = 1
  set('learn_at', now + tonumber(ARGV[10]))
end
if accepted and careful and blocked <= now then
  careful = false
  redis.call('HDEL', KEYS[1], 'careful', 'in_a_row', 'single')
end

-- The year's calls: one counter, by the calendar of this clock, beside one for each day (shown, and for the forecast)
local day = math.floor(now / 86400000000)
local function year_of(days) -- civil year of a day since the epoch (Hinnant, days from civil)
  local z = days + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  return yoe + era * 400 + (doy >= 306 and 1 or 0)
end
local year = 'y' .. year_of(day)
local uncounted = tonumber(pace[7]) or 0 -- calls that are not in those counters yet, which are written when somebody learns

local function answer(starts, first, wait, why)
  local calls = uncounted + starts - tonumber(ARGV[9])
  if learns == 1 and calls ~= 0 then
    redis.call('HINCRBY', KEYS[3], day, calls)
    redis.call('HINCRBY', KEYS[3], year, calls)
    redis.call('EXPIRE', KEYS[3], ARGV[8])
    calls = 0
  end
  if calls ~= uncounted then
    set('calls', calls)
  end
  if #changes > 0 then
    redis.call('HSET', KEYS[1], unpack(changes))
  end
  if learns == 1 then
    redis.call('EXPIRE', KEYS[1], 86400)
    redis.call('EXPIRE', KEYS[2], 60)
  end
  local scarce = (tonumber(pace[8]) or 0) > now - SCARCE_US and 1 or 0
  return { now, starts, math.max(0, math.floor(first)), math.floor(interval), math.max(1000, math.floor(wait)), why, learns, scarce }
end

if wanted == 0 then
  return answer(0, 0, 0, '')
end
if blocked > now then
  return answer(0, 0, blocked - now, 'throttled')
end
local most = tonumber(ARGV[7])
if most > 0 then
  local left = most - uncounted - (tonumber(redis.call('HGET', KEYS[3], year)) or 0)
  if left <= 0 then
    return answer(0, 0, 60000000, 'quota')
  end
  wanted = math.min(wanted, left)
end
if careful then
  local single = tonumber(pace[5]) or 0
  if single > now then
    return answer(0, 0, single - now, 'throttled')
  end
  set('single', now + math.max(SINGLY_US, interval))
  wanted = 1
end

-- Who else asks: a holder's own schedule runs as much slower as there are holders, and tells whether it is within its share
local holders, own = 1, 0
local shares = redis.call('HGETALL', KEYS[2])
for index = 1, #shares, 2 do
  local schedule, asked = string.match(shares[index + 1], '^(%d+) (%d+)$')
  if tonumber(asked) < now - FORGET_US then
    redis.call('HDEL', KEYS[2], shares[index])
  elseif shares[index] == holder then
    own = tonumber(schedule)
  else
    holders = holders + 1
  end
end
local reach = tonumber(ARGV[5])
local farthest = reach * math.min(2, 1 + holders / 8)
if ARGV[6] == 'backfill' then
  reach = reach * 0.8
elseif own <= now and holders > 1 then
  reach = farthest
end
reach = math.max(reach, interval)
local base = math.max(tat, now + lead)
local room = math.floor((now + lead + reach - base) / interval)
local most_ahead = (2 + holders / 2) * reach
if ARGV[6] == 'urgent' and room < 1 and own <= now + most_ahead * 2 / 3
    and base <= now + lead + farthest + interval then
  room = 1
end
local starts = math.max(0, math.min(wanted, room))
if starts > 0 then
  set('tat', base + starts * interval)
end
-- bounded, so that who had the account for itself is not made to pay for it long
local schedule = math.min(math.max(own, now) + starts * interval * holders, now + most_ahead)
redis.call('HSET', KEYS[2], holder, string.format('%.0f %.0f', schedule, now))
local why = starts < wanted and 'rate' or ''
return answer(starts, base - now, base + (starts + 1) * interval - now - lead - reach, why)

#!lua flags=allow-oom
-- Admits calls of one holder (a worker at a lane) to an account: how many it may have in flight, and when the next may start.
--
-- KEYS  1 pace, 2 seats, 3 flows, 4 calls
-- ARGV  1 holder, 2 flow (destination and kind), 3 calls in flight, 4 most seats of one holder, 5 starts wanted,
--       6 interval us between starts, 7 most in flight, 8 horizon us, 9 burst us, 10 accepted calls since the last time,
--       11 calls a year, 12 first day of the year (epoch days), 13 stop when the year's calls are used (0/1),
--       14 life of the calls hash s, 15 life of a seat ms, 16 backfill (0/1), 17 us that a call takes of late (0: not known),
--       18 starts granted before whose calls are not answered
-- Reply seats, starts, us until the first start, us to wait before asking again, and for what: throttled, quota, seats or rate
--       ('' when all was granted)
--
-- Starts are a GCRA on the clock of Redis: an even schedule whose next free moment is `tat`. Nobody reserves further ahead than
-- the horizon, so no one queues long behind another; a flow that has used less than its share reaches twice as far, a
-- backfill half. Seats are counted by holder, as far as they are used, and end by themselves when a holder dies. While others
-- wait for a seat, a flow that has its share gets no more, and a backfill half of that when a live one waits.
--
-- How many seats there are: `limit` is halved by a throttle signal (back_off.lua) and grows by one for every round of accepted
-- calls up to `aim`; and `aim` is found by trial. When the seats are what holds the calls up, a quarter fewer are tried for a
-- while: if as much gets through, the rest only made the server slower, and they stay away. If less does, a third more are
-- tried. Trials that change nothing become ever rarer.
-- Safe to repeat: a second run takes starts once more, which leaves a gap in the schedule and never a call too many.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local holder, flow = ARGV[1], ARGV[2]
local busy, starts, outstanding = tonumber(ARGV[3]), tonumber(ARGV[5]), tonumber(ARGV[18])
local interval, most = tonumber(ARGV[6]), tonumber(ARGV[7])
local horizon, burst = tonumber(ARGV[8]), tonumber(ARGV[9])
local answered = tonumber(ARGV[10])
local seat_life = tonumber(ARGV[15]) * 1000
local backfill = ARGV[16] == '1'
local call_us = tonumber(ARGV[17])

local pace = {}
local fields = redis.call('HGETALL', KEYS[1])
for index = 1, #fields, 2 do
  pace[fields[index]] = fields[index + 1]
end
local tat = tonumber(pace.tat) or 0
local blocked = tonumber(pace.blocked) or 0
local top = tonumber(pace.top) or 0
local aim = tonumber(pace.aim) or most
if most > top then
  top, aim = most, most
end
local limit = tonumber(pace.limit) or aim
local probing = pace.probing == '1'
local trial = tonumber(pace.trial)

if answered > 0 then
  probing = false
  limit = math.min(aim, limit + answered / limit)
  redis.call('HDEL', KEYS[1], 'blocks')
end

-- One trial after another, judged by what gets through in at least 40 calls; the first round after a change is not counted
local PERIOD_CALLS, PERIOD_US, FEWER, MORE = 40, 1000000, 0.75, 1.34
local HOLDS, PAYS = 0.97, 1.04 -- fewer seats that get as much through, more that get more through
local through = tonumber(pace.through) or 0
local rest, pause = tonumber(pace.rest) or 0, tonumber(pace.pause) or 1
local from, count = tonumber(pace.from) or now + 1000000, tonumber(pace.count) or 0
local tight, paced = pace.tight == '1', pace.paced == '1'
if now > from then
  count = count + answered
end
if count >= math.max(PERIOD_CALLS, 2 * (trial or limit)) and now - from >= PERIOD_US then
  local found = count / (now - from)
  local fewer, more = math.floor(aim * FEWER), math.min(top, math.max(aim + 1, math.floor(aim * MORE)))
  if trial and found >= through * (trial < aim and HOLDS or PAYS) then
    local down = trial < aim
    aim, limit, through, pause = trial, trial, found, 1
    fewer, more = math.floor(aim * FEWER), math.min(top, math.max(aim + 1, math.floor(aim * MORE)))
    trial = down and fewer >= 1 and fewer or not down and more > aim and more or nil
  elseif trial and trial < aim and more > aim then
    trial = more
  elseif trial then
    trial, rest, pause = nil, pause, math.min(64, pause * 2)
  elseif not tight or paced or limit < aim then
    through = 0
  else
    through = through > 0 and (through + found) / 2 or found
    if rest > 0 then
      rest = rest - 1
    elseif fewer >= 1 then
      trial = fewer
    end
  end
  from, count, tight, paced = now + call_us, 0, false, false
end

local function keep(changes)
  changes.limit, changes.aim, changes.top = limit, aim, top
  changes.through, changes.rest, changes.pause = through, rest, pause
  changes.from, changes.count = string.format('%.0f', from), count
  changes.tight, changes.paced = tight and '1' or '0', paced and '1' or '0'
  changes.probing = probing and '1' or '0'
  changes.trial = trial or ''
  local flat = {}
  for name, value in pairs(changes) do
    flat[#flat + 1] = name
    flat[#flat + 1] = value
  end
  redis.call('HSET', KEYS[1], unpack(flat))
  redis.call('EXPIRE', KEYS[1], 86400)
  redis.call('EXPIRE', KEYS[2], 3600)
  redis.call('EXPIRE', KEYS[3], 60)
end

local function sit(count_of_seats)
  if count_of_seats > 0 then
    redis.call('HSET', KEYS[2], holder, count_of_seats .. ' ' .. string.format('%.0f', now + seat_life) .. ' ' .. flow)
  else
    redis.call('HDEL', KEYS[2], holder)
  end
end

local in_line = 1

-- Of many in line, few get what comes free next, so each asks the less often the more they are; together they ask about three
-- times for each start or seat that comes free, every `each_us`.
local function patience(each_us, least_us)
  return math.max(least_us, math.min(500000, in_line * each_us * (0.25 + 0.2 * (now % 1000) / 1000)))
end

-- When it began to wait, when it was last heard of, and for which flow
local first_waited = now
local function queue_up()
  redis.call('HSET', KEYS[3], 'w:' .. holder, string.format('%.0f %.0f ', first_waited, now) .. flow)
end

local function refuse(seats, wait, reason)
  if starts > 0 then
    queue_up()
  end
  sit(seats)
  keep({})
  return { seats, 0, 0, math.max(1000, math.floor(wait)), reason }
end

-- Who has seats, who waits
local taken, mine, flows = 0, 0, 0
local seats = redis.call('HGETALL', KEYS[2])
local held = {}
for index = 1, #seats, 2 do
  local name = seats[index]
  local number, ends, owner = string.match(seats[index + 1], '^(%d+) (%d+) (.*)$')
  if tonumber(ends) < now then
    redis.call('HDEL', KEYS[2], name)
  elseif name ~= holder then
    taken = taken + number
    if not held[owner] then
      held[owner] = true
      flows = flows + 1
    end
    if owner == flow then
      mine = mine + number
    end
  end
end
local others_wait, live_waits = false, false
local waiting = redis.call('HGETALL', KEYS[3])
local longest_waited = now
for index = 1, #waiting, 2 do
  local name = waiting[index]
  if string.sub(name, 1, 2) == 'w:' then
    local first, last, owner = string.match(waiting[index + 1], '^(%d+) (%d+) (.*)$')
    if tonumber(last) < now - 1500000 then
      redis.call('HDEL', KEYS[3], name)
    elseif name == 'w:' .. holder then
      first_waited = tonumber(first)
    else
      in_line = in_line + 1
      if owner ~= flow then
        others_wait = true
        longest_waited = math.min(longest_waited, tonumber(first))
        live_waits = live_waits or string.sub(owner, -9) ~= '/backfill'
        if not held[owner] then
          held[owner] = true
          flows = flows + 1
        end
      end
    end
  end
end
if not held[flow] then
  flows = flows + 1
end

if blocked > now then
  return refuse(busy, blocked - now, 'throttled')
end

if tonumber(ARGV[13]) == 1 then
  local used = 0
  local days = redis.call('HGETALL', KEYS[4])
  for index = 1, #days, 2 do
    if tonumber(days[index]) >= tonumber(ARGV[12]) then
      used = used + tonumber(days[index + 1])
    end
  end
  local left = tonumber(ARGV[11]) - used
  if starts > 0 and left <= 0 then
    return refuse(busy, 60000000, 'quota')
  end
  starts = math.min(starts, math.max(0, left))
end

-- where calls are quick, a seat serves several of them within the horizon
local turns = call_us > 0 and math.max(1, horizon / call_us) or 1
local wanted = math.max(busy, math.min(tonumber(ARGV[4]), math.ceil((outstanding + starts) / turns)))
local level = trial or limit
local ceiling = probing and 1 or math.max(1, math.floor(math.min(level, most) + 0.0001))
if wanted > ceiling - taken then
  tight = true
end
local granted = math.max(busy, math.min(wanted, ceiling - taken))
if others_wait then
  local share = math.floor(ceiling / flows)
  if backfill and live_waits then
    share = math.floor(share / 2)
  end
  if share == 0 and first_waited <= longest_waited then
    share = 1 -- fewer seats than flows: they take turns, who has waited longest first
  end
  granted = math.max(busy, math.min(granted, share - mine))
end
local room_of_seats = math.floor(granted * turns) - outstanding
-- where only its own calls can make room, the next of them to be answered is the time to ask
local own = taken == 0 and busy > 0 and not others_wait
local seat_wait = own and 1000000 or patience(call_us / ceiling, math.min(50000, math.max(5000, call_us / 8)))
if room_of_seats <= 0 or starts == 0 then
  return refuse(granted, seat_wait, 'seats')
end
local wait, reason = 0, ''
if starts > room_of_seats then
  starts, wait, reason = room_of_seats, seat_wait, 'seats'
end

-- The flow's own schedule tells whether it is within its share of the rate
local own = tonumber(redis.call('HGET', KEYS[3], 's:' .. flow)) or 0
local reach = horizon
if backfill then
  reach = horizon / 2
elseif own <= now then
  reach = horizon * 2
end
local base = math.max(tat, now - burst)
local room = math.floor((now + reach - base) / interval)
local function rate_wait(starts_before)
  local exact = base + (starts_before + 1) * interval - now - reach
  return own <= now and exact or patience(interval, exact)
end
if room < 1 then
  paced = true
  return refuse(busy, rate_wait(0), 'rate')
end
if starts > room then
  starts, wait, reason = room, math.max(1000, rate_wait(room)), 'rate'
end
redis.call('HDEL', KEYS[3], 'w:' .. holder)
if reason ~= '' then
  first_waited = now
  queue_up()
end
-- bounded, so that a flow which had the account for itself is not made to pay for it long
redis.call('HSET', KEYS[3], 's:' .. flow, string.format('%.0f', math.min(math.max(own, now) + starts * interval * math.max(1, flows), now + 20 * horizon)))
sit(math.min(granted, math.max(busy, math.ceil((outstanding + starts) / turns))))
keep({ tat = string.format('%.0f', base + starts * interval) })
redis.call('HINCRBY', KEYS[4], math.floor(time[1] / 86400), starts)
redis.call('EXPIRE', KEYS[4], ARGV[14])
return { granted, starts, math.max(0, math.floor(base - now)), math.floor(wait), reason }

-- Admits calls of one holder (a worker at a lane) to an account: how many it may have in flight, and when the next may start.
--
-- KEYS  1 pace, 2 seats, 3 flows, 4 calls
-- ARGV  1 holder, 2 flow (destination and kind), 3 calls in flight, 4 seats wanted in all, 5 starts wanted,
--       6 interval us between starts, 7 most in flight, 8 horizon us, 9 burst us, 10 accepted calls since the last time,
--       11 calls a year, 12 first day of the year (epoch days), 13 stop when the year's calls are used (0/1),
--       14 life of the calls hash s, 15 life of a seat ms, 16 backfill (0/1),
--       17 how many calls a seat serves within the horizon (1 when unknown)
-- Reply seats, starts, us until the first start, us to wait before asking again, reason of a refusal ('' when none)
--
-- Starts are a GCRA on the clock of Redis: an even schedule whose next free moment is `tat`. Nobody reserves further ahead than
-- the horizon, so no one queues long behind another; a flow that has used less than its share reaches twice as far, a
-- backfill half. Seats are counted by holder and end by themselves when a holder dies. While others wait for a seat, a flow
-- that has its share gets no more.
-- Safe to repeat: a second run takes starts once more, which leaves a gap in the schedule and never a call too many.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local holder, flow = ARGV[1], ARGV[2]
local busy, wanted, starts = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local interval, most = tonumber(ARGV[6]), tonumber(ARGV[7])
local horizon, burst = tonumber(ARGV[8]), tonumber(ARGV[9])
local seat_life = tonumber(ARGV[15]) * 1000

local pace = redis.call('HMGET', KEYS[1], 'tat', 'limit', 'blocked', 'probing')
local tat = tonumber(pace[1]) or 0
local limit = tonumber(pace[2]) or most
local blocked = tonumber(pace[3]) or 0
local probing = pace[4] == '1'

-- Every round of accepted calls is worth one more seat, up to what the destination allows; a throttle signal halves (back_off.lua)
local answered = tonumber(ARGV[10])
if answered > 0 then
  probing = false
  if limit < most then
    limit = math.min(most, limit + answered / limit)
  end
  redis.call('HDEL', KEYS[1], 'blocks')
end

-- Who has seats, who waits
local taken, mine, flows = 0, 0, 0
local seats = redis.call('HGETALL', KEYS[2])
local held = {}
for index = 1, #seats, 2 do
  local name = seats[index]
  local count, ends, owner = string.match(seats[index + 1], '^(%d+) (%d+) (.*)$')
  if tonumber(ends) < now then
    redis.call('HDEL', KEYS[2], name)
  elseif name ~= holder then
    taken = taken + count
    if not held[owner] then
      held[owner] = true
      flows = flows + 1
    end
    if owner == flow then
      mine = mine + count
    end
  end
end
local others_wait = false
local waiting = redis.call('HGETALL', KEYS[3])
for index = 1, #waiting, 2 do
  local name = waiting[index]
  if string.sub(name, 1, 2) == 'w:' then
    if tonumber(waiting[index + 1]) < now - 500000 then
      redis.call('HDEL', KEYS[3], name)
    elseif string.sub(name, 3) ~= flow then
      others_wait = true
      if not held[string.sub(name, 3)] then
        flows = flows + 1
      end
    end
  end
end
if not held[flow] then
  flows = flows + 1
end

local function refuse(seat_count, wait, reason)
  if starts > 0 then
    redis.call('HSET', KEYS[3], 'w:' .. flow, now)
  end
  if seat_count > 0 then
    redis.call('HSET', KEYS[2], holder, seat_count .. ' ' .. string.format('%.0f', now + seat_life) .. ' ' .. flow)
  else
    redis.call('HDEL', KEYS[2], holder)
  end
  redis.call('HSET', KEYS[1], 'limit', limit, 'probing', probing and '1' or '0')
  redis.call('EXPIRE', KEYS[1], 86400)
  redis.call('EXPIRE', KEYS[2], 3600)
  redis.call('EXPIRE', KEYS[3], 60)
  return { seat_count, 0, 0, math.max(1000, math.floor(wait)), reason }
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
  starts = math.min(starts, tonumber(ARGV[11]) - used)
  if starts <= 0 then
    return refuse(busy, 60000000, 'quota')
  end
end

local ceiling = probing and 1 or math.max(1, math.floor(math.min(limit, most) + 0.0001))
local granted = math.max(busy, math.min(wanted, ceiling - taken))
if others_wait then
  local share = math.max(1, math.floor(ceiling / flows))
  granted = math.max(busy, math.min(granted, share - mine))
end
starts = math.min(starts, math.ceil(granted * math.max(1, tonumber(ARGV[17]))) - busy)
if starts <= 0 then
  return refuse(granted, 10000, 'seats')
end

-- The flow's own schedule tells whether it is within its share of the rate
local own = tonumber(redis.call('HGET', KEYS[3], 's:' .. flow)) or 0
local share_interval = interval * math.max(1, flows)
local reach = horizon
if own <= now then
  reach = horizon * 2
elseif ARGV[16] == '1' then
  reach = horizon / 2
end
local base = math.max(tat, now - burst)
local room = math.floor((now + reach - base) / interval)
if room < 1 then
  return refuse(granted, base + interval - now - reach, 'rate')
end
starts = math.min(starts, room)
redis.call('HDEL', KEYS[3], 'w:' .. flow)
redis.call('HSET', KEYS[3], 's:' .. flow, math.max(own, now) + starts * share_interval)
redis.call('HSET', KEYS[2], holder, granted .. ' ' .. string.format('%.0f', now + seat_life) .. ' ' .. flow)
redis.call('HSET', KEYS[1], 'tat', string.format('%.0f', base + starts * interval), 'limit', limit,
  'probing', probing and '1' or '0')
redis.call('EXPIRE', KEYS[1], 86400)
redis.call('EXPIRE', KEYS[2], 3600)
redis.call('EXPIRE', KEYS[3], 60)
redis.call('HINCRBY', KEYS[4], math.floor(time[1] / 86400), starts)
redis.call('EXPIRE', KEYS[4], ARGV[14])
return { granted, starts, math.max(0, math.floor(base - now)), 0, '' }

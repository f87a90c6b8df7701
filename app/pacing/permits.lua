#!lua flags=allow-oom
-- How many calls to an account one holder (a worker process) may have in flight: leases that end by themselves when a holder dies.
--
-- KEYS  1 permits, 2 pace
-- ARGV  1 now us (0: the clock of Redis), 2 holder, 3 permits wanted in all, 4 permits in use, 5 most for the account, 6 life us
-- Reply permits to use from now on (fewer than are in use: nothing is to begin until as many have ended), and how many there are
--       for the account
--
-- While all that is wanted is there, each has what it wants. Else it is shared out: who wants little has that, the others the same
-- each, and what does not divide goes round from second to second, so that with fewer permits than holders each has its turn.
-- Nobody is made to give up what is in use, so a share may take a call's time to come.
-- Safe to repeat: it sets what the holder has and adds nothing.
local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local holder, wanted, used = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local learned = tonumber(redis.call('HGET', KEYS[2], 'permits'))
local limit = tonumber(ARGV[5])
if learned then
  limit = math.max(1, math.min(limit, math.floor(learned + 0.0001)))
end

local taken, total = 0, wanted
local others, names = {}, { holder }
local rows = redis.call('HGETALL', KEYS[1])
for index = 1, #rows, 2 do
  local held, ends, wants = string.match(rows[index + 1], '^(%d+) (%d+) (%d+)$')
  if tonumber(ends) < now then
    redis.call('HDEL', KEYS[1], rows[index])
  elseif rows[index] ~= holder then
    taken = taken + held
    total = total + wants
    if tonumber(wants) > 0 then
      others[#others + 1] = tonumber(wants)
      names[#names + 1] = rows[index]
    end
  end
end

local share = wanted
if total > limit then
  local left, sharers = limit, #others + 1
  table.sort(others)
  for _, wants in ipairs(others) do
    if wants * sharers <= left and wants < wanted then
      left = left - wants
      sharers = sharers - 1
    end
  end
  table.sort(names)
  local place = 0
  for index, name in ipairs(names) do
    if name == holder then
      place = index
    end
  end
  local rest = left % sharers
  local turn = (place + math.floor(now / 1000000)) % sharers < rest
  share = math.min(wanted, math.floor(left / sharers) + (turn and 1 or 0))
end
local usable = math.max(0, math.min(share, limit - taken))
local held = math.max(used, usable)
if usable < wanted then
  -- read by `starts.lua`: who holds more than it needs then gives it back before its leases end
  redis.call('HSET', KEYS[2], 'scarce', string.format('%.0f', now))
end
if held > 0 or wanted > 0 then
  if redis.call('HSET', KEYS[1], holder, held .. ' ' .. string.format('%.0f', now + ARGV[6]) .. ' ' .. wanted) == 1 then
    redis.call('EXPIRE', KEYS[1], 86400)
  end
else
  redis.call('HDEL', KEYS[1], holder)
end
return { usable, limit }

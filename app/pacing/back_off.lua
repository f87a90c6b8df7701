#!lua flags=allow-oom
-- Makes a whole account wait after a throttle signal.
--
-- KEYS  1 pace
-- ARGV  1 kind (rate, blocked or unavailable), 2 wait us asked for by the server (0: none), 3 jitter 0..1,
--       4 us of the first circuit, 5 most us
-- Reply us that the account waits from now
--
-- rate and unavailable: as long as the server asked. blocked: the circuit opens, twice as long each time in a row, the calls in
-- flight are halved, and one call goes ahead before the rest. A signal that comes while the account waits already is an echo
-- of the same moment: it may lengthen the wait and changes nothing else, which is also why this is safe to repeat.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local asked, jitter = tonumber(ARGV[2]), tonumber(ARGV[3])
local until_now = tonumber(redis.call('HGET', KEYS[1], 'blocked')) or 0
local echo = until_now > now
local wait = asked
if ARGV[1] == 'blocked' then
  local blocks = tonumber(redis.call('HGET', KEYS[1], 'blocks')) or 0
  if not echo then
    blocks = redis.call('HINCRBY', KEYS[1], 'blocks', 1)
  end
  wait = math.max(asked, math.min(tonumber(ARGV[5]), tonumber(ARGV[4]) * 2 ^ (math.max(1, blocks) - 1)))
elseif wait == 0 then
  wait = 2000000
end
wait = wait * (1 + 0.1 * jitter)
if not echo then
  local limit = tonumber(redis.call('HGET', KEYS[1], 'limit'))
  if limit then
    redis.call('HSET', KEYS[1], 'limit', math.max(1, limit / (ARGV[1] == 'blocked' and 2 or 1.25)))
  end
  redis.call('HDEL', KEYS[1], 'trial', 'from', 'count', 'through') -- a trial of seats (admit.lua) tells nothing in a storm
  if ARGV[1] == 'blocked' then
    redis.call('HSET', KEYS[1], 'probing', '1')
  end
end
if now + wait > until_now then
  redis.call('HSET', KEYS[1], 'blocked', string.format('%.0f', now + wait), 'why', ARGV[1])
end
redis.call('EXPIRE', KEYS[1], 86400)
return math.floor(math.max(until_now - now, wait))

#!lua flags=allow-oom
-- Makes a whole account wait after a refusal for its rate, for too many calls at once or too many
-- tokens, or because it is unavailable.
--
-- KEYS  1 pace, 2 observed
-- ARGV  1 now us (0: the clock of Redis), 2 kind (rate, blocked, unavailable or tokens), 3 us to wait as the server asks (0: it does not),
--       4 jitter 0..1, 5 first us to wait, 6 most us
-- Reply us that the account waits from now
--
-- As long as the server asks, and at least twice as long each time in a row that no call was accepted between. That the account is
-- unavailable, or its token endpoint asked too often, says nothing of its rate, and is no observation of it. A refusal that comes
-- while the account waits already is an echo of the same moment: it may lengthen the wait, and counts as one more refusal of the rate,
-- which the pace takes for an echo; else it changes nothing, which is also why this is safe to repeat.
local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local asked, jitter, first, most = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local pace = redis.call('HMGET', KEYS[1], 'blocked', 'since')
local blocked = tonumber(pace[1]) or 0
if (tonumber(pace[2]) or 0) > now + 1000000 then -- the clock has gone back: it is no wait of now
  blocked = 0
end
local in_a_row
local is_echo = blocked > now
if is_echo then
  in_a_row = tonumber(redis.call('HGET', KEYS[1], 'in_a_row')) or 1
else
  in_a_row = redis.call('HINCRBY', KEYS[1], 'in_a_row', 1)
  redis.call('HSET', KEYS[1], 'careful', '1', 'since', string.format('%.0f', now))
  redis.call('HDEL', KEYS[1], 'single')
end
local wait = math.min(most, first * 2 ^ math.min(20, in_a_row - 1))
if asked > 0 and in_a_row == 1 and ARGV[2] ~= 'blocked' then
  wait = asked
end
wait = math.max(asked, wait) * (1 + 0.1 * jitter)
if now + wait > blocked then
  redis.call('HSET', KEYS[1], 'blocked', string.format('%.0f', now + wait), 'why', ARGV[2])
end
redis.call('EXPIRE', KEYS[1], 86400)
local observed = { rate = 'throttled', blocked = 'crowded' }
-- permits are halved once for one block: the single call that is made after it, and is refused as well, was not too many
if observed[ARGV[2]] and not (ARGV[2] == 'blocked' and (is_echo or in_a_row > 1)) then
  redis.call('HINCRBY', KEYS[2], observed[ARGV[2]], 1)
end
redis.call('HSETNX', KEYS[2], 'since', string.format('%.0f', now))
redis.call('EXPIRE', KEYS[2], 3600)
return math.floor(math.max(blocked - now, wait))

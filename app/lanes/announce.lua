#!lua flags=allow-oom
-- Marks a lane for a wake-up if it has work (or something parked that is due) and neither a holder nor a wake-up on its way.
--
-- KEYS  1 lease, 2 wake-up token, 3 live, 4 backfill, 5 later
-- ARGV  1 life of the wake-up token in ms
-- Reply 1 when the caller must send a wake-up. Safe to repeat: the second run finds the token.
if redis.call('EXISTS', KEYS[1]) == 1 then
  return 0
end
if redis.call('XLEN', KEYS[3]) + redis.call('XLEN', KEYS[4]) == 0 then
  local first = redis.call('ZRANGE', KEYS[5], 0, 0, 'WITHSCORES')
  if #first == 0 or tonumber(first[2]) > redis.call('TIME')[1] * 1000 then
    return 0
  end
end
return redis.call('SET', KEYS[2], '1', 'NX', 'PX', ARGV[1]) and 1 or 0

#!lua flags=allow-oom
-- Lets go of a lane and, in the same step, looks whether anything is left: the last look that no wake-up can be lost behind.
--
-- KEYS  1 lease, 2 wake-up token, 3 live, 4 backfill, 5 window
-- ARGV  1 token, 2 life of the wake-up token in ms, 3 the wake-up token: '1', or that of a wake-up that comes later
-- Reply 1 when entries are left: the wake-up token is set, and the caller must send the wake-up; 0 when the lane may sleep;
--       -1 when the lease was another's by then
--
-- Safe to repeat: a second run finds the lease gone and answers -1; a wake-up that is not sent for that is found by the sweep.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return -1
end
redis.call('DEL', KEYS[1], KEYS[5])
if redis.call('XLEN', KEYS[3]) + redis.call('XLEN', KEYS[4]) > 0 then
  redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[2])
  return 1
end
return 0

#!lua flags=allow-oom
-- Keeps the lease of a lane.
--
-- KEYS  1 lease
-- ARGV  1 token, 2 lease ms
-- Reply 1 kept, 0 lost. Safe to repeat.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])

#!lua flags=allow-oom
-- Takes a lock that ends by itself.
--
-- KEYS  1 lock
-- ARGV  1 token of who wants it, 2 its life in ms
-- Reply 1 when it is the caller's, 0 when another has it. Safe to repeat: the second run finds its own.
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1

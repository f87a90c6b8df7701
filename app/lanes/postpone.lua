#!lua flags=allow-oom
-- Lets one wake-up of a lane, and no more than one, come back later.
--
-- KEYS  1 wake mark
-- ARGV  1 the mark that this wake-up came with, 2 the mark it will come back with, 3 life of the new mark in ms
-- Reply 1 when the caller shall come back, 0 when another wake-up is on its way already
--
-- Safe to repeat: the second run finds its own new mark.
local mark = redis.call('GET', KEYS[1])
if mark and mark ~= ARGV[1] and mark ~= ARGV[2] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1

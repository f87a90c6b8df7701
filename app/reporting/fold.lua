#!lua flags=allow-oom
-- Adds the run of an hour that has ended to the totals of its destination.
--
-- KEYS  1 epoch, 2 totals, 3 run
-- ARGV  1 the hour, 2 the first hour when nothing was folded yet
-- Reply 1 added, 0 this hour has been added or is not the next one, or the destination is gone
--
-- Safe to repeat: `folded` names the first hour that is not in the totals, and only that one is added. Reasons are added by their
-- code alone: what stands behind it may be different each time.
if redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end
if (redis.call('HGET', KEYS[2], 'folded') or ARGV[2]) ~= ARGV[1] then
  return 0
end
local counts = redis.call('HGETALL', KEYS[3])
for index = 1, #counts, 2 do
  local name = string.match(counts[index], '^(why:[^|]*)|') or counts[index]
  redis.call('HINCRBY', KEYS[2], name, counts[index + 1])
end
redis.call('HSET', KEYS[2], 'folded', string.format('%.0f', ARGV[1] + 1))
return 1

#!lua flags=allow-oom
-- Drops delivered rows that are still as they were read: what was settled since is kept, as it fences what is older.
--
-- KEYS  1 hash of delivered rows
-- ARGV  contact tag and row, for each
-- Reply how many were dropped. Safe to repeat.
local dropped = 0
for index = 1, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[index]) == ARGV[index + 1] then
    dropped = dropped + redis.call('HDEL', KEYS[1], ARGV[index])
  end
end
return dropped

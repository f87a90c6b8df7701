-- Appends one chunk of profiles to their lanes and counts it as received, in one step.
--
-- KEYS  1 chunk marker, 2 job hash, 3 run hash, then for each lane used: its stream, its wake mark, its lease
-- ARGV  1 chunk life s, 2 job life s, 3 run life s, 4 wake mark ms, 5 job id, 6 profiles in all,
--       7 number of exclusion reasons, then reason, count for each,
--       then for each lane used: number of entries, then occurred (ms or ''), flags, sealed for each
-- Reply the positions (1-based, in the order of KEYS) of the lanes that need a wake-up
--
-- Safe to repeat: the marker makes a second run of the same chunk add nothing; it asks for the same wake-ups again, which
-- cost nothing. A lane that is held needs none: its holder looks once more, in the same step in which it lets go.
local fresh = redis.call('SET', KEYS[1], '1', 'NX', 'EX', ARGV[1])
local at = 8
local reasons = tonumber(ARGV[7])
if fresh then
  redis.call('HINCRBY', KEYS[2], 'received', ARGV[6])
  redis.call('HINCRBY', KEYS[3], 'received', ARGV[6])
end
for _ = 1, reasons do
  if fresh then
    for position = 2, 3 do
      redis.call('HINCRBY', KEYS[position], 'excluded', ARGV[at + 1])
      redis.call('HINCRBY', KEYS[position], 'why:' .. ARGV[at], ARGV[at + 1])
    end
  end
  at = at + 2
end
redis.call('EXPIRE', KEYS[2], ARGV[2])
redis.call('EXPIRE', KEYS[3], ARGV[3])
local asleep = {}
local position = 1
for key = 4, #KEYS, 3 do
  local count = tonumber(ARGV[at])
  at = at + 1
  for _ = 1, count do
    if fresh then
      redis.call('XADD', KEYS[key], '*', 'j', ARGV[5], 'o', ARGV[at], 'f', ARGV[at + 1], 'p', ARGV[at + 2])
    end
    at = at + 3
  end
  if redis.call('EXISTS', KEYS[key + 2]) == 0 then
    if redis.call('SET', KEYS[key + 1], '1', 'NX', 'PX', ARGV[4]) or not fresh then
      asleep[#asleep + 1] = position
    end
  end
  position = position + 1
end
return asleep

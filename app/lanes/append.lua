#!lua
-- Appends one chunk of profiles to their lanes and counts it as received, in one step.
--
-- KEYS  1 epoch, 2 chunk marker, 3 job hash, 4 jobs, 5 run hash, then for each lane used: its stream, its wake-up token, its lease
-- ARGV  1 epoch that the chunk was sorted for, 2 chunk life s, 3 job life s, 4 run life s, 5 wake-up token ms, 6 job id,
--       7 profiles in all, 8 share of maxmemory that appends leave free, 9 how many profiles the job must have received before (-1: any),
--       10 how many of 7 are further contacts of the same profiles, 11 most details that a run tells apart,
--       12 number of words that tell of the job, then name, word for each, then number of exclusion reasons, then reason, count
--       for each, then number of details, then counter of the reason, counter with the detail, count for each,
--       then for each lane used: number of entries, then for each: number of fields and values, the fields and values
-- Reply {1, positions (1-based, in the order of KEYS) of the lanes that need a wake-up}; {-1} when the destination has another
--       epoch by now, or is gone; {-2} when memory is short; {-3} when the job has received more or less than it must have. Of
--       the last three, nothing was done.
--
-- What appends leave free is for settling, for the state and for the broker: a backlog must be able to drain.
-- Safe to repeat: the marker makes a second run of the same chunk add nothing; it asks for the same wake-ups again, which
-- cost nothing. A lane that is held needs none: its holder looks once more, in the same step in which it lets go.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return { -1 }
end
if redis.call('EXISTS', KEYS[2]) == 0 then
  local memory = redis.call('INFO', 'memory')
  local most = tonumber(string.match(memory, '\nmaxmemory:(%d+)'))
  local used = tonumber(string.match(memory, '\nused_memory:(%d+)'))
  local uncounted = tonumber(string.match(memory, '\nmem_not_counted_for_evict:(%d+)') or 0)
  if most > 0 and used - uncounted > most * (1 - ARGV[8]) then
    return { -2 }
  end
end
if tonumber(ARGV[9]) >= 0 and redis.call('EXISTS', KEYS[2]) == 0 then
  local done = redis.call('HMGET', KEYS[3], 'received', 'more')
  if tonumber(done[1] or 0) - tonumber(done[2] or 0) ~= tonumber(ARGV[9]) then
    return { -3 }
  end
end
local fresh = redis.call('SET', KEYS[2], '1', 'NX', 'EX', ARGV[2])
if fresh then
  redis.call('HINCRBY', KEYS[3], 'received', ARGV[7])
  redis.call('HINCRBY', KEYS[5], 'received', ARGV[7])
  if tonumber(ARGV[10]) > 0 then
    redis.call('HINCRBY', KEYS[3], 'more', ARGV[10])
  end
  local time = redis.call('TIME')
  redis.call('ZADD', KEYS[4], time[1] * 1000 + math.floor(time[2] / 1000), ARGV[6])
end
local at = 13
for _ = 1, tonumber(ARGV[12]) do
  if fresh then
    redis.call('HSETNX', KEYS[3], ARGV[at], ARGV[at + 1])
  end
  at = at + 2
end
local reasons = tonumber(ARGV[at])
at = at + 1
for _ = 1, reasons do
  if fresh then
    redis.call('HINCRBY', KEYS[3], 'excluded', ARGV[at + 1])
    redis.call('HINCRBY', KEYS[3], 'why:' .. ARGV[at], ARGV[at + 1])
    redis.call('HINCRBY', KEYS[5], 'excluded', ARGV[at + 1])
  end
  at = at + 2
end
local details = tonumber(ARGV[at])
at = at + 1
for _ = 1, details do
  if fresh then
    local counter = ARGV[at + 1]
    if not redis.call('HGET', KEYS[5], counter) and redis.call('HINCRBY', KEYS[5], 'details', 1) > tonumber(ARGV[11]) then
      counter = ARGV[at] -- some of the words come from outside: there is an end to telling them apart
    end
    redis.call('HINCRBY', KEYS[5], counter, ARGV[at + 2])
  end
  at = at + 3
end
redis.call('EXPIRE', KEYS[5], ARGV[4])
local asleep = { 1 }
local position = 1
for key = 6, #KEYS, 3 do
  local count = tonumber(ARGV[at])
  at = at + 1
  for _ = 1, count do
    local fields = tonumber(ARGV[at])
    if fresh then
      redis.call('XADD', KEYS[key], '*', unpack(ARGV, at + 1, at + fields))
    end
    at = at + 1 + fields
  end
  if redis.call('EXISTS', KEYS[key + 2]) == 0 then
    if redis.call('SET', KEYS[key + 1], '1', 'NX', 'PX', ARGV[5]) or not fresh then
      asleep[#asleep + 1] = position
    end
  end
  position = position + 1
end
-- a job's counts are kept for as long as anything of it waits, and for its life from then on
local job = redis.call('HMGET', KEYS[3], 'received', 'delivered', 'unchanged', 'superseded', 'excluded', 'failed')
local pending = tonumber(job[1] or 0)
for index = 2, 6 do
  pending = pending - tonumber(job[index] or 0)
end
if pending > 0 then
  redis.call('PERSIST', KEYS[3])
else
  redis.call('EXPIRE', KEYS[3], ARGV[3])
end
return asleep

-- Settles entries of a lane in one step: they leave it, and everything that is to be known of them is written.
--
-- KEYS  1 lease, 2 live, 3 backfill, 4 later, 5 parked, 6 window, 7 suspects, 8 settled, 9 delivered, 10 failures,
--       11 failed, 12 run hash, then one job hash for each job named
-- ARGV  1 token, 2 lease ms, 3 id of this settlement, 4 run life s, 5 job life s, then sections, each with its count first:
--       live ids | backfill ids | delivered: contact tag, row | parked: due ms, number of fields, fields and values
--       | failures: failure id, time ms, sealed record | run counters: field, count
--       | for each job key: number of counters, then field, count
-- Reply 1 settled, 0 this settlement was made before, -1 the lease is lost and nothing was done
--
-- Safe to repeat: the id of the last settlement is kept, and only the holder of the lease settles.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return -1
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
if redis.call('GET', KEYS[8]) == ARGV[3] then
  return 0
end
local at = 6
local function take()
  at = at + 1
  return ARGV[at - 1]
end

for index = 1, 2 do
  local kind = index == 1 and 'l' or 'b'
  local ids, members = {}, {}
  for _ = 1, tonumber(take()) do
    ids[#ids + 1] = take()
    members[#members + 1] = kind .. ids[#ids]
  end
  if #ids > 0 then
    redis.call('XDEL', KEYS[1 + index], unpack(ids))
    redis.call('SREM', KEYS[6], unpack(members))
    redis.call('HDEL', KEYS[7], unpack(members))
  end
end

for _ = 1, tonumber(take()) do
  local tag = take()
  redis.call('HSET', KEYS[9], tag, take())
end

for _ = 1, tonumber(take()) do
  local due = take()
  local fields = {}
  for _ = 1, tonumber(take()) do
    fields[#fields + 1] = take()
  end
  redis.call('ZADD', KEYS[4], due, redis.call('XADD', KEYS[5], '*', unpack(fields)))
end

for _ = 1, tonumber(take()) do
  local id = take()
  redis.call('ZADD', KEYS[10], take(), id)
  redis.call('HSET', KEYS[11], id, take())
end

for _ = 1, tonumber(take()) do
  local field = take()
  redis.call('HINCRBY', KEYS[12], field, take())
end
redis.call('EXPIRE', KEYS[12], ARGV[4])

for key = 13, #KEYS do
  for _ = 1, tonumber(take()) do
    local field = take()
    redis.call('HINCRBY', KEYS[key], field, take())
  end
  redis.call('EXPIRE', KEYS[key], ARGV[5])
end

redis.call('SET', KEYS[8], ARGV[3], 'EX', 86400)
return 1

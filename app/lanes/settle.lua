#!lua flags=allow-oom
-- Settles entries of a lane in one step: they leave it, and everything that is to be known of them is written.
--
-- KEYS  1 lease, 2 live, 3 backfill, 4 later, 5 parked, 6 window, 7 recovery, 8 settled, 9 delivered, 10 failures,
--       11 failed, 12 run hash, 13 epoch, then the streams that entries move to, then one job hash for each job named
-- ARGV  1 token, 2 lease ms, 3 epoch, 4 number of this settlement among those of the token, 5 run life s, 6 job life s, 7 number of streams moved to,
--       then sections, each with its count first: live ids | backfill ids | delivered: contact tag, row
--       | parked: due ms, number of fields and values, fields and values | moved: position of the stream (1-based, of those
--       moved to), number of fields and values, fields and values | failures: failure id, time ms, record | run counters: field,
--       count | for each job key: number of counters, then field, count
-- Reply 1 settled, 0 this settlement, or a later one, was made before, -1 the lease is lost, -2 the destination has another epoch by now; of the
--       last two, nothing was done
--
-- Safe to repeat: only the holder of the lease settles, one after another, and the number of the last one is kept. So a copy that the
-- network brings late, after the next ones, does nothing.
local held = redis.call('MGET', KEYS[1], KEYS[8], KEYS[13])
if held[1] ~= ARGV[1] then
  return -1
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local by, number = string.match(held[2] or '', '^(%x+):(%d+)$')
if by == ARGV[1] and tonumber(number) >= tonumber(ARGV[4]) then
  return 0
end
if held[3] ~= ARGV[3] then
  return -2
end
local at = 8
local function take()
  at = at + 1
  return ARGV[at - 1]
end

-- Lua's unpack has an end at some 8,000 values
local function in_parts(values, act)
  for first = 1, #values, 1000 do
    act(unpack(values, first, math.min(first + 999, #values)))
  end
end

for index = 1, 2 do
  local kind = index == 1 and 'l' or 'b'
  local ids, members = {}, {}
  for _ = 1, tonumber(take()) do
    ids[#ids + 1] = take()
    members[#members + 1] = kind .. ids[#ids]
  end
  in_parts(ids, function(...) redis.call('XDEL', KEYS[1 + index], ...) end)
  in_parts(members, function(...) redis.call('HDEL', KEYS[6], ...) end)
  in_parts(members, function(...) redis.call('HDEL', KEYS[7], ...) end)
end
if redis.call('HLEN', KEYS[6]) == 1 then -- whose window it was, and nothing in it
  redis.call('DEL', KEYS[6])
end

for _ = 1, tonumber(take()) do
  local tag = take()
  redis.call('HSET', KEYS[9], tag, take())
end

local function take_fields()
  local fields = {}
  for _ = 1, tonumber(take()) do
    fields[#fields + 1] = take()
  end
  return fields
end

for _ = 1, tonumber(take()) do
  local due = take()
  redis.call('ZADD', KEYS[4], due, redis.call('XADD', KEYS[5], '*', unpack(take_fields())))
end

for _ = 1, tonumber(take()) do
  local stream = KEYS[13 + tonumber(take())]
  redis.call('XADD', stream, '*', unpack(take_fields()))
end

for _ = 1, tonumber(take()) do
  local id = take()
  redis.call('ZADD', KEYS[10], take(), id)
  redis.call('HSET', KEYS[11], id, take())
end

for _ = 1, tonumber(take()) do
  local field, count = take(), take()
  if redis.call('HINCRBY', KEYS[12], field, count) == tonumber(count) then -- it may be the first of this hour
    redis.call('EXPIRE', KEYS[12], ARGV[5])
  end
end

for key = 14 + tonumber(ARGV[7]), #KEYS do
  for _ = 1, tonumber(take()) do
    local field = take()
    redis.call('HINCRBY', KEYS[key], field, take())
  end
  -- a job's counts are kept for as long as anything of it waits, and for its life from then on
  local job = redis.call('HMGET', KEYS[key], 'received', 'delivered', 'unchanged', 'superseded', 'excluded', 'failed')
  local pending = tonumber(job[1] or 0)
  for index = 2, 6 do
    pending = pending - tonumber(job[index] or 0)
  end
  if pending > 0 then
    redis.call('PERSIST', KEYS[key])
  else
    redis.call('EXPIRE', KEYS[key], ARGV[6])
  end
end

redis.call('SET', KEYS[8], ARGV[1] .. ':' .. ARGV[4], 'EX', 86400)
return 1

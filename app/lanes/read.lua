-- Reads what waits in a lane, after what the caller has read already, and notes it as being worked on.
--
-- KEYS  1 lease, 2 live, 3 backfill, 4 later, 5 parked, 6 window, 7 suspects
-- ARGV  1 token, 2 lease ms, 3 last live id read, 4 last backfill id read, 5 most live, 6 most backfill
-- Reply {-1} when the lease is lost, else {now ms, crashes, crashes alone, live entries, backfill entries}
--
-- Parked entries that are due go back to the live stream first. While there are suspects, only they are returned, the worst
-- first and ever fewer at once (an eighth for each crash), until the one that kills its worker stands alone; `crashes` and
-- `crashes alone` are theirs, 0 otherwise. Safe to repeat: the same ids are returned again, and a parked entry has one place at a time.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return { -1 }
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local most = math.max(tonumber(ARGV[5]), tonumber(ARGV[6]))

for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', now, 'LIMIT', 0, most)) do
  for _, entry in ipairs(redis.call('XRANGE', KEYS[5], id, id)) do
    redis.call('XADD', KEYS[2], '*', unpack(entry[2]))
  end
  redis.call('XDEL', KEYS[5], id)
  redis.call('ZREM', KEYS[4], id)
end

local crashes, worst = 0, 0
local members = {}
local suspects = redis.call('HGETALL', KEYS[7])
for index = 2, #suspects, 2 do
  worst = math.max(worst, tonumber(suspects[index]))
end
crashes = worst % 100
if crashes > 0 then
  local found = { l = {}, b = {} }
  local room = math.max(1, math.floor(most / 8 ^ crashes))
  for index = 1, #suspects, 2 do
    if room > 0 and tonumber(suspects[index + 1]) == worst then
      local member = suspects[index]
      local kind, id = string.sub(member, 1, 1), string.sub(member, 2)
      local entry = redis.call('XRANGE', kind == 'l' and KEYS[2] or KEYS[3], id, id)[1]
      if entry then
        table.insert(found[kind], entry)
        members[#members + 1] = member
        room = room - 1
      else
        redis.call('HDEL', KEYS[7], member)
      end
    end
  end
  if #members > 0 then
    redis.call('SADD', KEYS[6], unpack(members))
  end
  return { now, crashes, math.floor(worst / 100), found.l, found.b }
end

local live, backfill = {}, {}
if tonumber(ARGV[5]) > 0 then
  live = redis.call('XRANGE', KEYS[2], '(' .. ARGV[3], '+', 'COUNT', ARGV[5])
end
if tonumber(ARGV[6]) > 0 and #live == 0 then
  backfill = redis.call('XRANGE', KEYS[3], '(' .. ARGV[4], '+', 'COUNT', ARGV[6])
end
for _, entry in ipairs(live) do
  members[#members + 1] = 'l' .. entry[1]
end
for _, entry in ipairs(backfill) do
  members[#members + 1] = 'b' .. entry[1]
end
if #members > 0 then
  redis.call('SADD', KEYS[6], unpack(members))
end
return { now, 0, 0, live, backfill }

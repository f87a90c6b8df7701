#!lua flags=allow-oom
-- Ends the hold of a worker that is alive but cannot go on: it does not know what became of its last steps.
--
-- KEYS  1 lease, 2 wake-up token, 3 window, 4 recovery, 5 crashes, 6 live, 7 backfill, 8 epoch
-- ARGV  1 token of the caller, 2 life of the wake-up token ms, 3 '1' when one of its entries is to blame, '0' when none is
-- Reply 1 when the lane is free, has work and got a wake-up token: the caller sends the wake-up; else 0
--
-- The entries of its window are read again contact by contact (`recovery`). If none of them is to blame, what was taken as evidence
-- against them, because another worker found the lease run out, is taken back.
-- Safe to repeat: the second run finds neither lease nor evidence. Of a destination that is disconnected nothing is written, or its
-- keys would outlive it.
if redis.call('EXISTS', KEYS[8]) == 0 then
  return 0
end
local mine = redis.call('GET', KEYS[1]) == ARGV[1]
if mine then
  local window = redis.call('HGETALL', KEYS[3])
  local tags, count = {}, 0
  for index = 1, #window, 2 do
    local member, tag = window[index], window[index + 1]
    if member ~= 'by' then
      redis.call('HSET', KEYS[4], member, tag)
      if not tags[tag] then
        tags[tag] = true
        count = count + 1
      end
    end
  end
  if ARGV[3] == '1' then
    local evidence = count == 1 and ARGV[1] .. '!' or ARGV[1]
    for tag in pairs(tags) do
      local known = redis.call('HGET', KEYS[5], tag)
      redis.call('HSET', KEYS[5], tag, known and known .. ' ' .. evidence or evidence)
    end
  end
  redis.call('DEL', KEYS[1], KEYS[3])
elseif ARGV[3] == '0' then
  local crashes = redis.call('HGETALL', KEYS[5])
  for index = 1, #crashes, 2 do
    local left = {}
    for evidence in string.gmatch(crashes[index + 1], '%S+') do
      if evidence ~= ARGV[1] and evidence ~= ARGV[1] .. '!' then
        left[#left + 1] = evidence
      end
    end
    if #left > 0 then
      redis.call('HSET', KEYS[5], crashes[index], table.concat(left, ' '))
    else
      redis.call('HDEL', KEYS[5], crashes[index])
    end
  end
end
if mine and redis.call('XLEN', KEYS[6]) + redis.call('XLEN', KEYS[7]) > 0 then
  redis.call('SET', KEYS[2], '1', 'PX', ARGV[2])
  return 1
end
return 0

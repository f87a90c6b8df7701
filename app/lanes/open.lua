#!lua flags=allow-oom
-- Takes the lease of a lane, or says who is in the way.
--
-- KEYS  1 lease, 2 wake-up token, 3 window, 4 recovery, 5 crashes, 6 epoch
-- ARGV  1 token of the caller, 2 lease ms, 3 epoch that the caller works for
-- Reply 1 when the lane is the caller's, 0 when another holds it, -1 when the destination has another epoch by now
--
-- A window that is still there tells that its worker went away in the middle: its entries go to `recovery`, to be read contact by
-- contact, and each of its contacts is a crash candidate. The evidence is the token of the worker that went, with a `!`
-- when it had no other contact; `abandon.lua` takes it back when that worker turns out to be alive.
-- Safe to repeat with the same token: the second run finds its own lease and an empty window.
if redis.call('GET', KEYS[6]) ~= ARGV[3] then
  return -1
end
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('DEL', KEYS[2])
if not holder then
  local window = redis.call('HGETALL', KEYS[3])
  local by, tags, count = '', {}, 0
  for index = 1, #window, 2 do
    local member, tag = window[index], window[index + 1]
    if member == 'by' then
      by = tag
    else
      redis.call('HSET', KEYS[4], member, tag)
      if not tags[tag] then
        tags[tag] = true
        count = count + 1
      end
    end
  end
  local evidence = count == 1 and by .. '!' or by
  for tag in pairs(tags) do
    local known = redis.call('HGET', KEYS[5], tag)
    redis.call('HSET', KEYS[5], tag, known and known .. ' ' .. evidence or evidence)
  end
  redis.call('DEL', KEYS[3])
end
return 1

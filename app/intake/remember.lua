#!lua
-- Remembers when each body first came, and tells of those that came before.
--
-- KEYS  the windows of remembered bodies, the present one first; all of one destination
-- ARGV  1 life of a window in s, then for each body its digest and its arrival: first byte (epoch ms), comma, stamp
-- Reply for each body the arrival that counts: its own when it is new
--
-- Safe to repeat: a body that is known keeps its earliest arrival, and that of a repeat of this script is the same.
local arrivals = {}
local written = false
for at = 2, #ARGV, 2 do
  local found = false
  for _, key in ipairs(KEYS) do
    local known = redis.call('HGET', key, ARGV[at])
    if known then
      found = known
      -- another process may have told of a later arrival sooner
      if tonumber(string.match(ARGV[at + 1], '^%d+')) < tonumber(string.match(known, '^%d+')) then
        found = ARGV[at + 1]
        redis.call('HSET', key, ARGV[at], found)
      end
      break
    end
  end
  if not found then
    found = ARGV[at + 1]
    redis.call('HSET', KEYS[1], ARGV[at], found)
    written = true
  end
  arrivals[#arrivals + 1] = found
end
if written then
  redis.call('EXPIRE', KEYS[1], ARGV[1])
end
return arrivals

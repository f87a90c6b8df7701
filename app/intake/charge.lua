#!lua
-- Charges a source with a body of profiles, unless it still owes a second's worth or more. A body may overdraw; the debt is carried over.
-- What was charged and not taken after all is given back.
--
-- KEYS  1 what the source owes: profiles, space, as of when (epoch ms)
-- ARGV  1 now (epoch ms)  2 profiles a second that the source may send  3 profiles of the body, less than 0 to give so many back
-- Reply ms until a body is taken again; 0 when this one was taken
--
-- Safe to repeat: the body is charged again, so that the source waits longer, or given back again, no farther than to nothing owed.
local now, rate = tonumber(ARGV[1]), tonumber(ARGV[2])
local owed = 0
local known = redis.call('GET', KEYS[1])
if known then
  local debt, at = string.match(known, '^(%S+) (%S+)$')
  -- clocks of two processes differ by moments
  now = math.max(now, tonumber(at))
  owed = math.max(0, tonumber(debt) - (now - tonumber(at)) * rate / 1000)
end
local profiles = tonumber(ARGV[3])
if profiles > 0 and owed >= rate then
  return math.floor((owed - rate) * 1000 / rate) + 1
end
owed = math.max(0, owed + profiles)
redis.call('SET', KEYS[1], string.format('%.3f %.0f', owed, now), 'PX', math.ceil(owed * 1000 / rate) + 1000)
return 0

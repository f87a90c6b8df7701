#!lua flags=allow-oom
-- Lets one wake-up of a lane, and no more than one, come back later.
--
-- KEYS  1 wake-up token
-- ARGV  1 the token that this wake-up came with, 2 the token it will come back with, 3 life of the new one in ms
-- Reply 1 when the caller shall come back, 0 when another wake-up is on its way already
--
-- Safe to repeat: the second run finds its own new token.
local token = redis.call('GET', KEYS[1])
if token and token ~= ARGV[1] and token ~= ARGV[2] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1

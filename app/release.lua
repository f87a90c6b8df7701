-- Deletes a key only if it still holds what the caller put or read there.
--
-- KEYS  1 a lock (the holder's random value) or a sealed access token
-- ARGV  1 the value that it must hold
-- Reply 1 when it was deleted, 0 when it is gone or belongs to another by now. Safe to repeat: the second run finds nothing.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0

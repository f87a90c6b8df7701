-- Deletes a key only if it still holds what the caller put or read there.
--
-- KEYS[1]  a lock (string, the holder's random value) or a sealed access token (string)
-- ARGV[1]  the value it must hold
-- Returns  1 if it was deleted, 0 if it is gone or belongs to another by now
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0

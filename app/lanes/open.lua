-- Takes the lease of a lane, or says who is in the way.
--
-- KEYS  1 lease, 2 wake mark, 3 window, 4 suspects
-- ARGV  1 token of the caller, 2 lease ms
-- Reply 1 when the lane is the caller's, 0 when another holds it
--
-- A window that is still there tells that its worker died: each of its entries is suspected of having killed it. What is kept
-- of a suspect is the number of deaths it was present at, and a hundred more for each one that it was alone at.
-- Safe to repeat with the same token: the second run finds its own lease and an empty window.
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('DEL', KEYS[2])
if not holder then
  local members = redis.call('SMEMBERS', KEYS[3])
  for _, member in ipairs(members) do
    redis.call('HINCRBY', KEYS[4], member, #members == 1 and 101 or 1)
  end
  redis.call('DEL', KEYS[3])
end
return 1

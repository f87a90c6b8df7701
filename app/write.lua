#!lua flags=allow-oom
-- Carries out commands in one step, also when Redis is full: for what the pipeline needs to get its backlog out.
--
-- KEYS  1 a key that must be there ('' as ARGV 1: none), then the keys of the commands
-- ARGV  1 '' or 'guarded', then for each command: the number of its words, then the words
-- Reply 1 when it was done, 0 when the key that must be there is not. Safe to repeat if the commands are.
if ARGV[1] == 'guarded' and redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end
local at = 2
while at <= #ARGV do
  local words = tonumber(ARGV[at])
  redis.call(unpack(ARGV, at + 1, at + words))
  at = at + 1 + words
end
return 1

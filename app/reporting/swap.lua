#!lua flags=allow-oom
-- Replaces one field of a hash if it is as it was read, and adds an event and messages.
--
-- KEYS  1 hash: open alerts, noted runs, mutes, or the outbox itself, 2 events, 3 outbox
-- ARGV  1 field, 2 its value as it was read ('' when it was not there), 3 its new value ('' to remove it), 4 event ('' for none),
--       5 events kept, then for each message: id, message
-- Reply 1 done, 0 the value has changed since it was read: nothing was done
--
-- Safe to repeat: a second run finds the new value and does nothing.
if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then
  return 0
end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
end
if ARGV[4] ~= '' then
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[5], '*', 'event', ARGV[4])
end
for index = 6, #ARGV, 2 do
  redis.call('HSET', KEYS[3], ARGV[index], ARGV[index + 1])
end
return 1

#!lua flags=allow-oom
-- Reads and changes the state of a destination in one step, so that nobody changes what another has changed meanwhile.
--
-- KEYS  1 state, 2 epoch: without it the destination is disconnected, and nothing is changed
-- ARGV  1 what to do: read, pause, resume, probe, fail, succeed or leave, then by that:
--       probe    2 token of who wants to probe, 3 life of a probe in ms
--       fail     2 token of the probe that failed ('' when it was no probe), 3 generation of the state that the session began with,
--                4 the status that it leads to (degraded or stopped), 5 code, 6 text, 7 remedy, 8 least wait ms,
--                9 jitter 0..1, 10 base ms and 11 cap ms of the back-off
--       succeed  2 token of the probe that succeeded
--       leave    2 token of the probe that came to nothing
-- Reply {now ms, 1 when it was done and 0 when it did not apply, the fields and values of the state}
--
-- `generation` grows with each change of status. Only a probe that has ended changes the back-off: what the many sessions see that
-- were under way when trouble began is one trouble. A probe counts only while it is the one that was taken: what an operator
-- did meanwhile ends it. Safe to repeat: a probe is found to be taken by the same token, ended ones no more.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local state = {}
local flat = redis.call('HGETALL', KEYS[1])
for index = 1, #flat, 2 do
  state[flat[index]] = flat[index + 1]
end
local status = state.status == 'troubled' and 'degraded' or state.status or 'enabled'  -- an earlier build's word
local generation = tonumber(state.generation) or 0
local on_probation = status == 'degraded' or status == 'stopped'
local act, done = redis.call('EXISTS', KEYS[2]) == 1 and ARGV[1] or 'read', 0

local function become(fields)
  fields.generation = generation + 1
  redis.call('DEL', KEYS[1])
  for name, value in pairs(fields) do
    redis.call('HSET', KEYS[1], name, value)
  end
  done = 1
end

local function probing(token)
  return token ~= '' and state.probe == token
end

if act == 'pause' and status ~= 'paused' then
  become({ status = 'paused', since_ms = now })
elseif act == 'resume' then
  if on_probation then
    redis.call('HSET', KEYS[1], 'next_probe_ms', 0)
    done = 1
  elseif status ~= 'enabled' then
    become({ status = 'enabled', since_ms = now })
  end
elseif act == 'probe' and on_probation then
  local free = not state.probe or tonumber(state.probe_until_ms) < now
  if probing(ARGV[2]) or (free and tonumber(state.next_probe_ms) <= now) then
    redis.call('HSET', KEYS[1], 'probe', ARGV[2], 'probe_until_ms', now + ARGV[3])
    done = 1
  end
elseif act == 'leave' and probing(ARGV[2]) then
  redis.call('HDEL', KEYS[1], 'probe', 'probe_until_ms')
  done = 1
elseif act == 'succeed' and probing(ARGV[2]) then
  become({ status = 'enabled', since_ms = now })
elseif act == 'fail' then
  local first = ARGV[2] == '' and (
    (status == 'enabled' and tonumber(ARGV[3]) == generation) or (status == 'degraded' and ARGV[4] == 'stopped'))
  if first or (on_probation and probing(ARGV[2])) then
    if status == 'stopped' and ARGV[4] == 'degraded' then -- a probe that reaches nobody does not tell that it is mended
      local text = string.match(state.text, '^(.-) The last probe: ') or state.text
      ARGV[4], ARGV[5], ARGV[6], ARGV[7] = 'stopped', state.code, text .. ' The last probe: ' .. ARGV[6], state.remedy
    end
    local again = status == ARGV[4]
    local tries = again and (tonumber(state.tries) or 0) + 1 or 1
    local delay = ARGV[9] * math.min(tonumber(ARGV[11]), ARGV[10] * 2 ^ math.min(tries, 30))
    become({
      status = ARGV[4],
      since_ms = again and state.since_ms or now,
      code = ARGV[5],
      text = ARGV[6],
      remedy = ARGV[7],
      tries = tries,
      next_probe_ms = string.format('%.0f', now + math.max(delay, tonumber(ARGV[8]))),
    })
  end
end
return { now, done, redis.call('HGETALL', KEYS[1]) }

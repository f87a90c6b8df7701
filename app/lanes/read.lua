#!lua flags=allow-oom
-- Reads what waits in a lane, after what the caller has read already, and notes it as being worked on.
--
-- KEYS  1 lease, 2 live, 3 backfill, 4 later, 5 parked, 6 window, 7 recovery, 8 crashes, 9 epoch
-- ARGV  1 token, 2 lease ms, 3 epoch, 4 last live id read, 5 last backfill id read, 6 most live, 7 most backfill, 8 most bytes
-- Reply {-1} when the lease is lost, {-2} when the destination has another epoch by now, else
--       {now ms, recovered (0/1), deaths, deaths alone, live entries, backfill entries}
--
-- Parked entries that are due go back to their streams first. While entries of a worker that went away are left (`recovery`), only
-- they are returned, each contact with all of its own at once, so that nothing is sent that would set the contact back. Contacts
-- that more workers died with come first and ever fewer at once (an eighth for each death), until the one that kills its worker
-- stands alone; `deaths` and `deaths alone` are theirs.
-- `most bytes` bounds the profiles of one answer; one entry, or one contact of a recovery, is always returned.
-- Safe to repeat: the same ids are returned again, and a parked entry has one place at a time.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return { -1 }
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
if redis.call('GET', KEYS[9]) ~= ARGV[3] then
  return { -2 }
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local most = math.max(tonumber(ARGV[6]), tonumber(ARGV[7]))
local most_bytes = tonumber(ARGV[8])
local STEP = 25

local function field(entry, name)
  for index = 1, #entry[2], 2 do
    if entry[2][index] == name then
      return entry[2][index + 1]
    end
  end
  return ''
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', now, 'LIMIT', 0, most)) do
  for _, entry in ipairs(redis.call('XRANGE', KEYS[5], id, id)) do
    local backfill = string.find(field(entry, 'f'), 'b', 1, true)
    redis.call('XADD', backfill and KEYS[3] or KEYS[2], '*', unpack(entry[2]))
  end
  redis.call('XDEL', KEYS[5], id)
  redis.call('ZREM', KEYS[4], id)
end

local function note(kind, entries)
  local fields = { 'by', ARGV[1] }
  for index, entry in ipairs(entries) do
    fields[#fields + 1] = kind .. entry[1]
    fields[#fields + 1] = field(entry, 'c')
    if #fields >= 1000 or index == #entries then -- Lua's unpack has an end at some 8,000 values
      redis.call('HSET', KEYS[6], unpack(fields))
      fields = {}
    end
  end
end

local function earlier(one, other)
  local one_ms, one_number = string.match(one[1], '(%d+)-(%d+)')
  local other_ms, other_number = string.match(other[1], '(%d+)-(%d+)')
  if one_ms ~= other_ms then
    return tonumber(one_ms) < tonumber(other_ms)
  end
  return tonumber(one_number) < tonumber(other_number)
end

local members = redis.call('HGETALL', KEYS[7])
if #members > 0 then
  local contacts, order = {}, {}
  for index = 1, #members, 2 do
    local tag = members[index + 1]
    if not contacts[tag] then
      contacts[tag] = { members = {}, deaths = 0, alone = 0 }
      order[#order + 1] = tag
    end
    table.insert(contacts[tag].members, members[index])
  end
  local worst, alone = 0, 0
  for tag, contact in pairs(contacts) do
    for evidence in string.gmatch(redis.call('HGET', KEYS[8], tag) or '', '%S+') do
      contact.deaths = contact.deaths + 1
      if string.sub(evidence, -1) == '!' then
        contact.alone = contact.alone + 1
      end
    end
    if contact.alone > alone or (contact.alone == alone and contact.deaths > worst) then
      worst, alone = contact.deaths, contact.alone
    end
  end
  table.sort(order)
  local found = { l = {}, b = {} }
  local room = math.max(1, math.floor(most / 8 ^ math.min(worst, 8)))
  local bytes = 0
  for _, tag in ipairs(order) do
    local contact = contacts[tag]
    if room > 0 and bytes <= most_bytes and contact.deaths == worst and contact.alone == alone then
      for _, member in ipairs(contact.members) do
        local kind, id = string.sub(member, 1, 1), string.sub(member, 2)
        local entry = redis.call('XRANGE', kind == 'l' and KEYS[2] or KEYS[3], id, id)[1]
        if entry then
          table.insert(found[kind], entry)
          room = room - 1
          bytes = bytes + #field(entry, 'p')
        else
          redis.call('HDEL', KEYS[7], member)
        end
      end
    end
  end
  if #found.l + #found.b > 0 or redis.call('EXISTS', KEYS[7]) == 1 then
    table.sort(found.l, earlier)
    table.sort(found.b, earlier)
    note('l', found.l)
    note('b', found.b)
    return { now, 1, worst, alone, found.l, found.b }
  end
end
redis.call('DEL', KEYS[8])

-- in small steps, so that large profiles are not copied only to be left
local function range(key, after, count)
  local entries, bytes = {}, 0
  while count > 0 and bytes <= most_bytes do
    local step = redis.call('XRANGE', key, '(' .. after, '+', 'COUNT', math.min(count, STEP))
    for _, entry in ipairs(step) do
      if bytes <= most_bytes then
        entries[#entries + 1] = entry
        after = entry[1]
        bytes = bytes + #field(entry, 'p')
      end
    end
    if #step < STEP then
      break
    end
    count = count - STEP
  end
  return entries
end

local live, backfill = range(KEYS[2], ARGV[4], tonumber(ARGV[6])), {}
if #live == 0 then
  backfill = range(KEYS[3], ARGV[5], tonumber(ARGV[7]))
end
note('l', live)
note('b', backfill)
return { now, 0, 0, 0, live, backfill }

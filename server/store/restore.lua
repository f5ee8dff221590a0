-- Reads what a backup keeps and merges it back: a part of one library with `rollups.lua` and `store.lua`.
-- What is there already stays and is not counted twice, so a restore can be repeated.

local MOST_VALUES = 1000 -- in one command, for the sake of Lua's stack

-- Returns whether the device was erased after a backup of this generation; nothing of that backup comes back then.
local function erased_since(base, gen)
  return tonumber(redis.call('HGET', base, 'gen') or 0) > gen
end

local function list_lengths(base, suffix, chunks_per_day, day, found)
  for chunk = day * chunks_per_day, (day + 1) * chunks_per_day - 1 do
    local length = redis.call('LLEN', base .. suffix .. chunk)
    if length > 0 then
      found[#found + 1] = chunk
      found[#found + 1] = length
    end
  end
end

-- Returns what a device has at one moment: its hash, schemas, boots, the names of its pages of sequence numbers, their
-- bitmaps, the bitmap of each boot of layout 2 (else empty), days, and numbers and lengths of its lists of readings and
-- of heard records. Until they are swept, lists only grow, so their starts can be read later.
-- No clock says here what is too old: a wrong one would leave good readings out of the backup.
local function survey(keys, _)
  local base = keys[1]
  local boots = redis.call('HGETALL', base .. ':boots')
  local flat = {}
  for i = 1, #boots, 2 do
    local has_pages = #boots[i + 1] > FACTS_BYTES
    flat[#flat + 1] = has_pages and '' or redis.call('GET', base .. ':seen:' .. struct.unpack('<I4', boots[i + 1])) or ''
  end
  local ids, pages = redis.call('ZRANGE', base .. ':pages', 0, -1), {}
  for i, id in ipairs(ids) do
    pages[i] = redis.call('GET', page_key(base, math.floor(id / PAGES_PER_BOOT), id % PAGES_PER_BOOT)) or ''
  end
  local days = redis.call('ZRANGE', base .. ':days', 0, -1)
  local readings, heard = {}, {}
  for _, member in ipairs(days) do
    local day = tonumber(member)
    list_lengths(base, ':r:', 24, day, readings)
    list_lengths(base, ':heard:', 4, day, heard)
  end
  return {redis.call('HGETALL', base), redis.call('HGETALL', base .. ':schemas'), boots, ids, pages, flat, days, readings,
    heard}
end

-- Restores a device. Args: generation, erased_at, first_seen, last_seen (0 for none), name, state, labels, model and
-- version. A higher generation erases what is there, as the erasure did that made it.
local function restore_device(keys, args)
  local base = keys[1]
  local gen, erased_at, first_seen, last_seen = tonumber(args[1]), args[2], tonumber(args[3]), tonumber(args[4])
  if erased_since(base, gen) then
    return 0
  end
  if gen > tonumber(redis.call('HGET', base, 'gen') or 0) then
    erase(keys, {})
    redis.call('HSET', base, 'gen', gen)
    redis.call('HDEL', base, 'erased_at')
  end
  if erased_at ~= '0' then
    redis.call('HSET', base, 'erased_at', erased_at)
  end
  if first_seen > 0 then
    local known = redis.call('HMGET', base, 'first_seen', 'last_seen')
    redis.call('HSET', base, 'first_seen', math.min(first_seen, tonumber(known[1] or first_seen)))
    if last_seen > 0 then
      redis.call('HSET', base, 'last_seen', math.max(last_seen, tonumber(known[2] or 0)))
    end
  end
  for i, name in ipairs({'name', 'state', 'labels', 'model', 'version'}) do
    if args[4 + i] ~= '' then
      redis.call('HSETNX', base, name, args[4 + i])
    end
  end
  return 1
end

-- Returns how many sequence numbers of a boot its pages still have.
local function count_seen(base, index)
  local count = 0
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', base .. ':pages', page_id(index, 0), page_id(index, PAGES_PER_BOOT - 1))) do
    count = count + redis.call('BITCOUNT', page_key(base, index, id % PAGES_PER_BOOT))
  end
  return count
end

-- Adds the sequence numbers of a boot. Args: generation, boot, first and last at, records, lowest and highest number,
-- first and last arrival; then for each page of numbers its number and its bitmap.
-- The count of records may be higher than that of the bits, because the bits go with the retention.
local function restore_boot(keys, args)
  local base = keys[1]
  if erased_since(base, tonumber(args[1])) then
    return 0
  end
  local boot, given = args[2], {0}
  for i = 3, 9 do
    given[i - 1] = tonumber(args[i])
  end
  local entry = boot_entry(base, boot)
  if entry.fresh and redis.call('HLEN', base .. ':boots') >= MOST_BOOTS then
    return redis.error_reply('the device has more than ' .. MOST_BOOTS .. ' boots')
  end
  if redis.call('ZCARD', base .. ':pages') + (#args - 9) / 2 > 2 * MOST_PAGES then -- here and there
    return redis.error_reply('the device has more than ' .. 2 * MOST_PAGES .. ' pages of sequence numbers')
  end
  local first, here_expired, there_expired = entry[4] == 0, entry[4] - count_seen(base, entry[1]), given[4]
  local last_day = math.floor(math.max(entry[3], given[3]) / DAY_MS)
  for i = 10, #args, 2 do
    local page, other = tonumber(args[i]), base .. ':seen:restored'
    local key = page_key(base, entry[1], page)
    redis.call('SET', other, args[i + 1])
    there_expired = there_expired - redis.call('BITCOUNT', other)
    redis.call('BITOP', 'OR', key, key, other)
    redis.call('DEL', other)
    note_page(base, page_id(entry[1], page), last_day)
  end
  entry[2] = first and given[2] or math.min(entry[2], given[2])
  entry[3] = math.max(entry[3], given[3])
  entry[4] = count_seen(base, entry[1]) + math.max(here_expired, there_expired)
  entry[5] = math.min(entry[5], given[5])
  entry[6] = math.max(entry[6], given[6])
  entry[7] = first and given[7] or math.min(entry[7], given[7])
  entry[8] = math.max(entry[8], given[8])
  save_boot(base, boot, entry)
  return 1
end

-- Returns how often a list has each of its values.
local function counted(key)
  local counts = {}
  for _, value in ipairs(redis.call('LRANGE', key, 0, -1)) do
    counts[value] = (counts[value] or 0) + 1
  end
  return counts
end

-- Adds the records of one list. Args: generation, retention of records in ms, the text of their schema
-- (empty for heard records), and the packed records, whose boots and sequence numbers are ignored. A record that the
-- list has already is not added. Returns how many were added, were there, and are too old; -1 first if erased.
local function restore_records(keys, args)
  local base = keys[1]
  if erased_since(base, tonumber(args[1])) then
    return {-1, 0, 0}
  end
  local now, keep_ms, text = clock_ms(), tonumber(args[2]), args[3]
  local call = {base = base, schemas = {}}
  local schema
  if text ~= '' then
    schema = schema_number(call, text)
    if not schema then
      return redis.error_reply('the device has more than 255 kinds of readings (model, labels and span)')
    end
  end
  local added, there, expired, open, values, counts, key = 0, 0, 0, {}, {}, nil, nil
  local latest = redis.call('HGET', base, 'latest')
  local latest_at = latest and struct.unpack('<d', latest) or -1
  latest = nil
  for i = 4, #args do
    local packed = args[i]
    local _, _, _, _, at = struct.unpack(RECORD, packed)
    local width = schema and HOUR_MS or HEARD_CHUNK_MS
    local chunk = math.floor(at / width)
    if not key then
      key = base .. (schema and ':r:' or ':heard:') .. chunk
      counts = counted(key)
    end
    local value = schema and reading_value(packed, at, schema) or heard_value(packed, at)
    if at < now - keep_ms then
      expired = expired + 1
    elseif (counts[value] or 0) > 0 then
      counts[value] = counts[value] - 1
      there = there + 1
    else
      added = added + 1
      values[#values + 1] = value
      note_day(base, math.floor(at / DAY_MS))
      if schema then
        open[#open + 1] = open_value(packed, at, schema)
        if at >= latest_at then
          latest_at = at
          latest = latest_value(packed, at, schema)
        end
      end
    end
    if #values == MOST_VALUES or (i == #args and #values > 0) then
      redis.call('RPUSH', key, unpack(values))
      if schema then
        redis.call('RPUSH', base .. ':open', unpack(open))
        fold(base)
      end
      values, open = {}, {}
    end
  end
  if schema and added > 0 then
    redis.call('HINCRBY', base, 'readings', added)
    if latest then
      redis.call('HSET', base, 'latest', latest)
    end
  end
  return {added, there, expired}
end

local function before(a, b)
  return a.ms < b.ms or (a.ms == b.ms and a.seq < b.seq)
end

-- Adds events. Args: generation, retention of rollups in ms, and id, kind and model of each.
-- A stream takes only entries newer than its last one, so it is written again if one is missing.
local function restore_events(keys, args)
  local base = keys[1]
  if erased_since(base, tonumber(args[1])) then
    return 0
  end
  local key, oldest = base .. ':events', clock_ms() - tonumber(args[2])
  local known, entries, added = {}, {}, 0
  local function keep(id, fields)
    local ms, seq = id:match('^(%d+)-(%d+)$')
    known[id] = true
    entries[#entries + 1] = {id = id, ms = tonumber(ms), seq = tonumber(seq), fields = fields}
  end
  for _, entry in ipairs(redis.call('XRANGE', key, '-', '+')) do
    keep(entry[1], entry[2])
  end
  for i = 3, #args, 3 do
    if not known[args[i]] and tonumber(args[i]:match('^%d+')) >= oldest then
      keep(args[i], {'kind', args[i + 1], 'model', args[i + 2]})
      added = added + 1
    end
  end
  if added > 0 then
    table.sort(entries, before)
    redis.call('DEL', key)
    for i = math.max(1, #entries - MOST_EVENTS + 1), #entries do
      redis.call('XADD', key, entries[i].id, unpack(entries[i].fields))
    end
  end
  return added
end

-- Adds rollups of one key whose readings are gone. Args: generation, name of the resolution, number of the key, text of
-- the schema, and for each slot its number and its sums as JSON. A slot that has as many readings already stays.
local function restore_rollups(keys, args)
  local base = keys[1]
  if erased_since(base, tonumber(args[1])) then
    return 0
  end
  local resolution, group = nil, tonumber(args[3])
  for _, other in ipairs(RESOLUTIONS) do
    resolution = other.name == args[2] and other or resolution
  end
  local schema = schema_number({base = base, schemas = {}}, args[4])
  if not schema then
    return redis.error_reply('the device has more than 255 kinds of readings (model, labels and span)')
  end
  local key, added = base .. ':' .. resolution.name .. ':' .. group, 0
  for i = 5, #args, 2 do
    local slot, sums = tonumber(args[i]), cjson.decode(args[i + 1])
    local field = string.char(slot, schema)
    local packed = redis.call('HGET', key, field)
    local labels = (#sums - 2) / PER_LABEL
    if not packed or unpack_rollup(packed, labels)[1] < sums[1] then
      local day = math.floor((group * resolution.slots + slot) * resolution.slot_ms / DAY_MS)
      redis.call('HSET', key, field, pack_rollup(sums))
      redis.call('ZADD', base .. ':days', day, day)
      added = added + 1
    end
  end
  return added
end

redis.register_function{function_name = 'mw3_survey', callback = survey, flags = {'no-writes'}}
redis.register_function('mw3_restore_device', restore_device)
redis.register_function('mw3_restore_boot', restore_boot)
redis.register_function('mw3_restore_records', restore_records)
redis.register_function('mw3_restore_events', restore_events)
redis.register_function('mw3_restore_rollups', restore_rollups)

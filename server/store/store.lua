-- Writes what devices send, and erases it: every function changes all keys of one device, or none, in one atomic call.
-- keys[1] is the device's hash `mw:{<id>}`; its other keys are that name with a suffix, so they share one slot.
-- `codec.py` packs what they take and reads back what they write. One library with `rollups.lua`, which comes first.
-- No key here expires by itself: `sweep.lua` deletes what is past the retention, and only by a clock that others vouch for.

local HEARD_CHUNK_MS = 21600000
local AHEAD_MS = 300000
local MOST_APART_MS = 60000 -- clocks of store and ingest
local MOST_EVENTS = 10000
local MOST_OPEN = 64 -- readings that are not yet in their minute, hour and day
local MOST_STATUS_BOOTS = 8 -- whose late last wills are known
-- index, first and last at, records, lowest and highest sequence number, first and last arrival
local BOOT_FACTS = '<I4ddI4I4I4dd'
local FACTS_BYTES = 48 -- a boot of layout 2 has no more, and all its numbers are in one bitmap
local BOOT = BOOT_FACTS .. 'I4I4' -- and the page of numbers that was written last, with the last day of its records
local NO_SEQ = 4294967295
local NO_PAGE = 4294967295
local RECORD = '>Bc8I4I8I8' -- labels (0: a heard record), boot, sequence number, generation, at
local RECORD_BYTES = 29

local function clock_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- The names of the keys that have the records of a day.
local function record_keys(base, day)
  local names = {}
  for hour = day * 24, day * 24 + 23 do
    names[#names + 1] = base .. ':r:' .. hour
  end
  for quarter = day * 4, day * 4 + 3 do
    names[#names + 1] = base .. ':heard:' .. quarter
  end
  return names
end

-- The names of the keys that have the hours and minutes of a day and of no other.
local function rollup_keys(base, day)
  local names = {base .. ':h:' .. day}
  for hour = day * 24, day * 24 + 23 do
    names[#names + 1] = base .. ':m:' .. hour
  end
  return names
end

local function page_key(base, index, page)
  return base .. ':seen:' .. index .. ':' .. page
end

-- The name of a page in the list of a device's pages, which is in the order of these numbers.
local function page_id(index, page)
  return string.format('%.0f', index * PAGES_PER_BOOT + page)
end

-- Notes that a page of sequence numbers has records of a day.
local function note_page(base, id, day)
  redis.call('ZADD', base .. ':pages', id, id)
  redis.call('ZADD', base .. ':page_days', 'GT', day, id)
end

-- Divides the bitmap of a boot of layout 2, which has records until a day, into pages.
local function divide_bitmap(base, index, last_day)
  local flat = base .. ':seen:' .. index
  local at = redis.call('BITPOS', flat, 1)
  while at >= 0 do
    local page = math.floor(at / PAGE_NUMBERS)
    local first, after = page * PAGE_NUMBERS / 8, (page + 1) * PAGE_NUMBERS / 8
    redis.call('SET', page_key(base, index, page), redis.call('GETRANGE', flat, first, after - 1))
    note_page(base, page_id(index, page), last_day)
    at = redis.call('BITPOS', flat, 1, after)
  end
  redis.call('UNLINK', flat)
end

-- Returns the boot's entry as a table. An unknown boot gets the next index; nothing of it is written yet.
local function boot_entry(base, boot)
  local packed = redis.call('HGET', base .. ':boots', boot)
  if not packed then
    local made = tonumber(redis.call('HGET', base, 'boots') or 0)
    return {made + 1, 0, 0, 0, NO_SEQ, 0, 0, 0, NO_PAGE, 0, fresh = true}
  end
  if #packed > FACTS_BYTES then
    return {struct.unpack(BOOT, packed)}
  end
  local entry = {struct.unpack(BOOT_FACTS, packed)}
  entry[9], entry[10] = NO_PAGE, 0
  divide_bitmap(base, entry[1], math.floor(entry[3] / DAY_MS))
  redis.call('HSET', base .. ':boots', boot, struct.pack(BOOT, unpack(entry, 1, 10)))
  return entry
end

local function save_boot(base, boot, entry)
  if entry.fresh then
    redis.call('HSET', base, 'boots', entry[1])
    entry.fresh = nil
  end
  redis.call('HSET', base .. ':boots', boot, struct.pack(BOOT, unpack(entry, 1, 10)))
end

-- Forgets the boots whose last record is older than a time.
local function forget_boots(base, before_ms)
  local boots = redis.call('HGETALL', base .. ':boots')
  for i = 1, #boots, 2 do
    local index, _, last_at = struct.unpack(BOOT_FACTS, boots[i + 1])
    if last_at < before_ms then
      redis.call('HDEL', base .. ':boots', boots[i])
      redis.call('UNLINK', base .. ':seen:' .. index)
    end
  end
end

-- Returns why a device may not begin another boot, or nil if it may. Asking counts: looking for room takes time.
local function refuse_boot(call)
  local base, today = call.base, math.floor(call.now / DAY_MS)
  local begun = redis.call('HMGET', base, 'boots_day', 'boots_begun')
  local count = tonumber(begun[1]) == today and tonumber(begun[2]) or 0
  if count >= MOST_BOOTS_A_DAY then
    return 'later the device has begun ' .. MOST_BOOTS_A_DAY .. ' boots today (UTC), and another one is taken tomorrow: '
      .. 'it restarts too often, or somebody else has its password'
  end
  redis.call('HSET', base, 'boots_day', today, 'boots_begun', count + 1)
  if redis.call('HLEN', base .. ':boots') >= MOST_BOOTS then
    if not call.vouched then
      return 'later the device has ' .. MOST_BOOTS .. ' boots, and nobody vouches yet for the clock that tells which are old'
    end
    forget_boots(base, call.now - call.keep_ms) -- a repeat of theirs is expired
    if redis.call('HLEN', base .. ':boots') >= MOST_BOOTS then
      return 'refused the device has ' .. MOST_BOOTS .. ' boots within the retention: it restarts too often, or somebody '
        .. 'else has its password; delete its data to begin anew'
    end
  end
  return nil
end

-- Marks a sequence number as seen in its page of the boot's numbers.
-- Returns whether it was not seen before, or nil if the device has too many pages.
local function see(call, entry, seq, day)
  local page = math.floor(seq / PAGE_NUMBERS)
  local key = page_key(call.base, entry[1], page)
  if page == entry[9] and day <= entry[10] then
    return redis.call('SETBIT', key, seq % PAGE_NUMBERS, 1) == 0
  end
  local pages, id = call.base .. ':pages', page_id(entry[1], page)
  local known = redis.call('ZSCORE', pages, id)
  if not known and redis.call('ZCARD', pages) >= MOST_PAGES then
    return nil
  end
  if redis.call('SETBIT', key, seq % PAGE_NUMBERS, 1) == 1 then
    return false
  end
  note_page(call.base, id, day)
  entry[9], entry[10] = page, day
  return true
end

-- Returns the number of a schema, or nil if the device has too many.
local function schema_number(call, text)
  if not call.schemas[text] then
    local key = call.base .. ':schemas'
    local number = redis.call('HGET', key, text)
    if not number then
      number = redis.call('HLEN', key) + 1
      if number > 255 then
        return nil
      end
      redis.call('HSET', key, text, number)
    end
    call.schemas[text] = tonumber(number)
  end
  return call.schemas[text]
end

-- A reading as its hour keeps it: offset and flags, schema, level and scores.
local function reading_value(packed, at, schema)
  local flags = packed:byte(RECORD_BYTES + 1)
  return struct.pack('>I3B', at % HOUR_MS * 4 + flags, schema) .. packed:sub(RECORD_BYTES + 2)
end

-- A reading as `open` keeps it until it is in the rollups: at, schema, flags and scores.
local function open_value(packed, at, schema)
  return struct.pack('>I6BB', at, schema, packed:byte(RECORD_BYTES + 1)) .. packed:sub(RECORD_BYTES + 3)
end

-- A reading as the device's latest: at, schema, flags, level and scores.
local function latest_value(packed, at, schema)
  return struct.pack('<dBB', at, schema, packed:byte(RECORD_BYTES + 1)) .. packed:sub(RECORD_BYTES + 2)
end

-- A heard record as its chunk keeps it: offset, and all that follows the identity.
local function heard_value(packed, at)
  return struct.pack('>I4', at % HEARD_CHUNK_MS) .. packed:sub(RECORD_BYTES + 1)
end

local function append_later(call, key, value)
  local list = call.lists[key] or {}
  call.lists[key] = list
  list[#list + 1] = value
end

-- Notes that a day has a record, of which rollups remain longer.
local function note_day(base, day)
  redis.call('ZADD', base .. ':record_days', day, day)
  redis.call('ZADD', base .. ':days', day, day)
end

-- Takes one record: sets its bit and collects the other changes in `call`.
-- Returns 'stored', 'repeat', 'expired', 'erased', or 'refused' or 'later' and, after a blank, the reason.
local function take_record(call, text, packed)
  local base, now = call.base, call.now
  local labels, boot, seq, gen, at = struct.unpack(RECORD, packed)
  if gen < call.gen then
    return 'erased'
  end
  if gen > call.gen + MOST_GENERATIONS_AHEAD then
    return 'refused gen ' .. string.format('%.0f', gen) .. ' is more than ' .. MOST_GENERATIONS_AHEAD
      .. ' erasures ahead of the server, which has ' .. string.format('%.0f', call.gen)
  end
  if at < now - call.keep_ms then
    return call.vouched and 'expired' or 'later too old by the clock of the server, which nobody vouches for yet'
  end
  if at > now + AHEAD_MS then
    local is_hopeless = call.vouched and at > now + DAY_MS
    return (is_hopeless and 'refused' or 'later') .. ' at is ' .. math.ceil((at - now) / 1000)
      .. ' s ahead of the server, which takes up to 300 s: set the clocks'
  end
  local entry = call.boots[boot]
  if not entry then
    entry = boot_entry(base, boot)
    local reason = entry.fresh and refuse_boot(call) -- with the outcome
    if reason then
      return reason
    end
  end
  local schema
  if labels > 0 then
    schema = schema_number(call, text)
    if not schema then
      return 'refused the device has more than 255 kinds of readings (model, labels and span)'
    end
  end
  local day = math.floor(at / DAY_MS)
  local is_new = see(call, entry, seq, day)
  if is_new == nil then
    return 'refused the device has ' .. MOST_PAGES .. ' pages of sequence numbers: its numbers are too far apart; '
      .. 'delete its data to begin anew'
  end
  if not is_new then
    return 'repeat'
  end
  if entry.fresh then
    save_boot(base, boot, entry) -- another new boot of this call then gets another index
  end
  call.boots[boot] = entry

  if labels > 0 then
    local hour = math.floor(at / HOUR_MS)
    local value = reading_value(packed, at, schema)
    append_later(call, base .. ':r:' .. hour, value)
    call.open[#call.open + 1] = open_value(packed, at, schema)
    call.readings = call.readings + 1
    if at >= call.latest_at then
      call.latest_at = at
      call.latest = latest_value(packed, at, schema)
    end
  else
    local chunk = math.floor(at / HEARD_CHUNK_MS)
    append_later(call, base .. ':heard:' .. chunk, heard_value(packed, at))
  end

  local first = entry[4] == 0
  if first or day ~= math.floor(entry[3] / DAY_MS) then
    call.days[day] = true
  end
  entry[2] = first and at or math.min(entry[2], at)
  entry[3] = math.max(entry[3], at)
  entry[4] = entry[4] + 1
  entry[5] = math.min(entry[5], seq)
  entry[6] = math.max(entry[6], seq)
  entry[7] = first and now or entry[7]
  entry[8] = now
  call.gen = gen
  call.stored = true
  return 'stored'
end

-- Writes the changes that the records of one call made.
local function write_changes(call, known_gen, first_seen)
  local base = call.base
  for key, list in pairs(call.lists) do
    redis.call('RPUSH', key, unpack(list))
  end
  local fields = {'last_seen', call.now}
  if #call.open > 0 then
    if redis.call('RPUSH', base .. ':open', unpack(call.open)) >= MOST_OPEN then
      fold(base)
    end
    fields[3], fields[4] = 'readings', call.readings
    if call.latest then
      fields[5], fields[6] = 'latest', call.latest
    end
  end
  if not first_seen then
    fields[#fields + 1] = 'first_seen'
    fields[#fields + 1] = call.now
  end
  if call.gen > known_gen then
    fields[#fields + 1] = 'gen'
    fields[#fields + 1] = call.gen
  end
  redis.call('HSET', base, unpack(fields))
  for boot, entry in pairs(call.boots) do
    save_boot(base, boot, entry)
  end
  for day in pairs(call.days) do
    note_day(base, day)
  end
end

local function write_device(base, now, vouched, keep_ms, args, first, last)
  local meta = redis.call('HMGET', base, 'gen', 'readings', 'latest', 'first_seen')
  local known_gen = tonumber(meta[1] or 0)
  local call = {
    base = base, now = now, vouched = vouched, gen = known_gen, readings = tonumber(meta[2] or 0),
    latest_at = meta[3] and struct.unpack('<d', meta[3]) or -1, keep_ms = keep_ms, boots = {}, schemas = {}, lists = {}, open = {}, days = {},
  }
  local answers = {}
  for i = first, last, 2 do
    answers[#answers + 1] = take_record(call, args[i], args[i + 1])
  end
  if call.stored then
    write_changes(call, known_gen, meta[4])
  end
  return answers
end

-- Returns why nothing may be dated by the store's clock: it is too far off the caller's, given in ms, 0 if that is not to
-- be compared. Returns nil if it may.
local function apart(own)
  local off_ms = own > 0 and clock_ms() - own or 0
  if math.abs(off_ms) <= MOST_APART_MS then
    return nil
  end
  return string.format('the clock of the store is %.0f s off that of ingest', off_ms / 1000)
end

-- Writes records of the devices in keys. Args: retention of records in ms; the caller's clock in ms, 0 if that is not to
-- be compared; 1 if others agree with the clock, so that a record may be called too old; then for each
-- device the number of its records, and for each record the text of its schema (empty for a heard record) and its packed
-- value. Returns the outcome of each record; 'failed' and, after a blank, the reason for each of a device with broken
-- keys, and for all if the clocks differ.
local function write(keys, args)
  local now, keep_ms, vouched, wrong = clock_ms(), tonumber(args[1]), args[3] == '1', apart(tonumber(args[2]))
  local answers, at = {}, 4
  for _, base in ipairs(keys) do
    local count = tonumber(args[at])
    local last = at + 2 * count
    local done, found = false, wrong
    if not wrong then
      done, found = pcall(write_device, base, now, vouched, keep_ms, args, at + 1, last)
    end
    for i = 1, count do
      answers[#answers + 1] = done and found[i] or 'failed ' .. tostring(type(found) == 'table' and found.err or found)
    end
    at = last + 1
  end
  return answers
end

-- Returns whether a boot is among those that said hello last, and their names with it as the newest.
local function with_status_boot(names, boot)
  local others = ''
  for i = 1, #names, #boot do
    local name = names:sub(i, i + #boot - 1)
    others = name == boot and others or others .. name
  end
  return #others < #names, (others .. boot):sub(-MOST_STATUS_BOOTS * #boot)
end

-- Keeps a status of a device. Args: boot, connection, state, name, labels, model, version; the caller's clock in ms, 0 if
-- that is not to be compared. A last will that is older than the known status changes nothing and returns 'stale'.
-- By a clock that is ahead no event is written: each later one would get the same date.
local function status(keys, args)
  local base, wrong = keys[1], apart(tonumber(args[8]))
  if wrong then
    return 'failed ' .. wrong
  end
  local boot, connection, state, model = args[1], tonumber(args[2]), args[3], args[6]
  local meta = redis.call('HMGET', base, 'status_boot', 'connection', 'state', 'model', 'first_seen', 'erased_at',
    'status_boots')
  local same_boot = meta[1] == boot
  if same_boot and connection < tonumber(meta[2]) then
    return 'stale'
  end
  local is_known, names = with_status_boot(meta[7] or meta[1] or '', boot)
  if meta[1] and not same_boot and state == 'offline' and is_known then
    return 'stale'
  end
  if state == 'offline' then
    fold(base) -- the next reading may be far away
  end
  local now = clock_ms()
  redis.call('HSET', base, 'status_boot', boot, 'connection', connection, 'state', state, 'name', args[4],
    'labels', args[5], 'model', model, 'version', args[7], 'status_boots', names)
  local changed = not same_boot or meta[3] ~= state or meta[4] ~= model
  if changed then
    redis.call('XADD', base .. ':events', 'MAXLEN', '~', MOST_EVENTS, '*', 'kind', state, 'model', model)
  end
  -- Neither a repeated or retained message nor a last will shows that the device is alive.
  if state ~= 'offline' and (changed or connection > tonumber(meta[2])) then
    redis.call('HSET', base, 'last_seen', now)
  end
  -- An erased device is listed again with its first record, not with a status.
  if not meta[5] and not meta[6] then
    redis.call('HSET', base, 'first_seen', now)
  end
  return 'stored'
end

-- Keeps the latest health message of a listed device. Args: the message.
local function health(keys, args)
  if redis.call('HEXISTS', keys[1], 'first_seen') == 1 then
    redis.call('HSET', keys[1], 'health', args[1])
  end
  return 'stored'
end

-- Erases everything of a device but its next generation. Returns that, the number of records, and the time in ms.
local function erase(keys, _)
  local base = keys[1]
  local now = clock_ms()
  local gen = tonumber(redis.call('HGET', base, 'gen') or 0) + 1
  if gen > HIGHEST_GENERATION then
    gen = REPAIRED_GENERATION
  end
  local records = 0
  local boots = redis.call('HGETALL', base .. ':boots')
  for i = 1, #boots, 2 do
    local index, _, _, count = struct.unpack(BOOT_FACTS, boots[i + 1])
    records = records + count
    redis.call('UNLINK', base .. ':seen:' .. index)
  end
  for _, id in ipairs(redis.call('ZRANGE', base .. ':pages', 0, -1)) do
    redis.call('UNLINK', page_key(base, math.floor(id / PAGES_PER_BOOT), id % PAGES_PER_BOOT))
  end
  for _, day in ipairs(redis.call('ZRANGE', base .. ':days', 0, -1)) do
    redis.call('UNLINK', unpack(record_keys(base, day)))
    redis.call('UNLINK', base .. ':d:' .. math.floor(day / 64), unpack(rollup_keys(base, day)))
  end
  redis.call('UNLINK', base, base .. ':boots', base .. ':schemas', base .. ':days', base .. ':record_days',
    base .. ':pages', base .. ':page_days', base .. ':events', base .. ':open', base .. ':orders')
  redis.call('HSET', base, 'gen', gen, 'erased_at', now)
  return {gen, records, now}
end

redis.register_function('mw3_write', write)
redis.register_function('mw3_status', status)
redis.register_function('mw3_health', health)
redis.register_function{function_name = 'mw3_erase', callback = erase, flags = {'allow-oom'}} -- it frees memory

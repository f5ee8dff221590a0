-- Writes what devices send, and erases it: every function changes all keys of one device, or none, in one atomic call.
-- keys[1] is the device's hash `mw:{<id>}`; its other keys are that name with a suffix, so they share one slot.
-- `codec.py` packs what they take and reads back what they write. One library with `rollups.lua`, which comes first.

local HEARD_CHUNK_MS = 21600000
local AHEAD_MS = 300000
local MOST_EVENTS = 10000
local MOST_OPEN = 64 -- readings that are not yet in their minute, hour and day
local BOOT = '<I4ddI4I4I4dd' -- index, first and last at, records, lowest and highest sequence number, first and last arrival
local NO_SEQ = 4294967295
local RECORD = '>Bc8I4I8I8' -- labels (0: a heard record), boot, sequence number, generation, at
local RECORD_BYTES = 29

local function clock_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Returns the boot's entry as a table. An unknown boot gets the next index; nothing is written yet.
local function boot_entry(base, boot)
  local packed = redis.call('HGET', base .. ':boots', boot)
  if packed then
    return {struct.unpack(BOOT, packed)}
  end
  local made = tonumber(redis.call('HGET', base, 'boots') or 0)
  return {made + 1, 0, 0, 0, NO_SEQ, 0, 0, 0, fresh = true}
end

local function save_boot(base, boot, entry)
  if entry.fresh then
    redis.call('HSET', base, 'boots', entry[1])
    entry.fresh = nil
  end
  redis.call('HSET', base .. ':boots', boot, struct.pack(BOOT, unpack(entry, 1, 8)))
end

-- Appends to a list; sets its expiry if the list is new.
local function append(key, values, expires_ms)
  local length = redis.call('RPUSH', key, unpack(values))
  if length == #values then
    redis.call('PEXPIREAT', key, expires_ms)
  end
  return length
end

-- Removes what is older than the retention from keys that do not expire; runs once a day for each device.
local function prune(base, current, before_ms)
  redis.call('ZREMRANGEBYSCORE', base .. ':days', '-inf', math.floor(before_ms / DAY_MS) - 64)
  redis.call('XTRIM', base .. ':events', 'MINID', math.max(before_ms, 0))
  local status_boot = redis.call('HGET', base, 'status_boot')
  local boots = redis.call('HGETALL', base .. ':boots')
  for i = 1, #boots, 2 do
    local entry = {struct.unpack(BOOT, boots[i + 1])}
    if boots[i] ~= current and boots[i] ~= status_boot and entry[3] < before_ms then
      redis.call('HDEL', base .. ':boots', boots[i])
    end
  end
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

local function append_later(call, key, value, expires_ms)
  local list = call.lists[key]
  if not list then
    list = {values = {}, expires_ms = expires_ms}
    call.lists[key] = list
  end
  list.values[#list.values + 1] = value
end

-- Takes one record: sets its bit and collects the other changes in `call`.
-- Returns 'stored', 'repeat', 'expired', 'erased', or 'refused' and, after a blank, the reason.
local function take_record(call, text, packed)
  local base, now = call.base, call.now
  local labels, boot, seq, gen, at = struct.unpack(RECORD, packed)
  if gen < call.gen then
    return 'erased'
  end
  if at < now - call.keep_ms then
    return 'expired'
  end
  if at > now + AHEAD_MS then
    return 'refused at is ' .. math.ceil((at - now) / 1000) .. ' s ahead of the server, which takes up to 300 s: set the clocks'
  end
  local entry = call.boots[boot]
  if not entry then
    entry = boot_entry(base, boot)
    if entry[1] > 65535 then
      return 'refused the device has more than 65535 boots'
    end
  end
  local schema
  if labels > 0 then
    schema = schema_number(call, text)
    if not schema then
      return 'refused the device has more than 255 kinds of readings (model, labels and span)'
    end
  end
  local seen = base .. ':seen:' .. entry[1]
  if redis.call('SETBIT', seen, seq, 1) == 1 then
    return 'repeat'
  end
  if entry.fresh then
    save_boot(base, boot, entry) -- another new boot of this call then gets another index
  end
  call.boots[boot] = entry

  if labels > 0 then
    local hour = math.floor(at / HOUR_MS)
    local value = reading_value(packed, at, schema)
    append_later(call, base .. ':r:' .. hour, value, (hour + 1) * HOUR_MS + call.keep_ms)
    call.open[#call.open + 1] = open_value(packed, at, schema)
    call.readings = call.readings + 1
    if at >= call.latest_at then
      call.latest_at = at
      call.latest = latest_value(packed, at, schema)
    end
  else
    local chunk = math.floor(at / HEARD_CHUNK_MS)
    append_later(call, base .. ':heard:' .. chunk, heard_value(packed, at), (chunk + 1) * HEARD_CHUNK_MS + call.keep_ms)
  end

  local day = math.floor(at / DAY_MS)
  local first = entry[4] == 0
  -- The bitmap outlives the boot's records: a repeat is expired before its bit is gone.
  if first or day > math.floor(entry[3] / DAY_MS) then
    redis.call('PEXPIREAT', seen, (day + 2) * DAY_MS + call.keep_ms)
  end
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
  call.stored = boot
  return 'stored'
end

-- Writes the changes that the records of one call made.
local function write_changes(call, known_gen, first_seen)
  local base = call.base
  for key, list in pairs(call.lists) do
    append(key, list.values, list.expires_ms)
  end
  local fields = {'last_seen', call.now}
  if #call.open > 0 then
    if append(base .. ':open', call.open, call.now + call.keep_rollups_ms) >= MOST_OPEN then
      fold(base, call.keep_rollups_ms)
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
    if redis.call('ZADD', base .. ':days', day, day) == 1 then
      prune(base, call.stored, call.now - call.keep_rollups_ms)
    end
  end
end

local function write_device(base, now, keep_ms, keep_rollups_ms, args, first, last)
  local meta = redis.call('HMGET', base, 'gen', 'readings', 'latest', 'first_seen')
  local known_gen = tonumber(meta[1] or 0)
  local call = {
    base = base, now = now, gen = known_gen, readings = tonumber(meta[2] or 0),
    latest_at = meta[3] and struct.unpack('<d', meta[3]) or -1, keep_ms = keep_ms, keep_rollups_ms = keep_rollups_ms,
    boots = {}, schemas = {}, lists = {}, open = {}, days = {},
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

-- Writes records of the devices in keys. Args: retention of records and of rollups in ms; then for each device the
-- number of its records, and for each record the text of its schema (empty for a heard record) and its packed value.
-- Returns the outcome of each record; 'failed' and, after a blank, the reason for each of a device with broken keys.
local function write(keys, args)
  local now, keep_ms, keep_rollups_ms = clock_ms(), tonumber(args[1]), tonumber(args[2])
  local answers, at = {}, 3
  for _, base in ipairs(keys) do
    local count = tonumber(args[at])
    local last = at + 2 * count
    local done, found = pcall(write_device, base, now, keep_ms, keep_rollups_ms, args, at + 1, last)
    for i = 1, count do
      answers[#answers + 1] = done and found[i] or 'failed ' .. tostring(type(found) == 'table' and found.err or found)
    end
    at = last + 1
  end
  return answers
end

-- Keeps a status of a device. Args: boot, connection, state, name, labels, model, version, retention of rollups in ms.
-- A last will that is older than the known status changes nothing and returns 'stale'.
local function status(keys, args)
  local base = keys[1]
  local boot, connection, state, model = args[1], tonumber(args[2]), args[3], args[6]
  local meta = redis.call('HMGET', base, 'status_boot', 'connection', 'state', 'model', 'first_seen', 'erased_at')
  local entry = boot_entry(base, boot)
  local same_boot = meta[1] == boot
  if same_boot and connection < tonumber(meta[2]) then
    return 'stale'
  end
  if meta[1] and not same_boot and state == 'offline' and entry[1] < boot_entry(base, meta[1])[1] then
    return 'stale'
  end
  if entry.fresh then
    save_boot(base, boot, entry)
  end
  if state == 'offline' then
    fold(base, tonumber(args[8])) -- the next reading may be far away
  end
  local now = clock_ms()
  redis.call('HSET', base, 'status_boot', boot, 'connection', connection, 'state', state, 'name', args[4],
    'labels', args[5], 'model', model, 'version', args[7])
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
  local records = 0
  local boots = redis.call('HGETALL', base .. ':boots')
  for i = 1, #boots, 2 do
    records = records + ({struct.unpack(BOOT, boots[i + 1])})[4]
  end
  for index = 1, tonumber(redis.call('HGET', base, 'boots') or 0) do
    redis.call('UNLINK', base .. ':seen:' .. index)
  end
  for _, member in ipairs(redis.call('ZRANGE', base .. ':days', 0, -1)) do
    local day = tonumber(member)
    local names = {base .. ':h:' .. day, base .. ':d:' .. math.floor(day / 64)}
    for hour = day * 24, day * 24 + 23 do
      names[#names + 1] = base .. ':r:' .. hour
      names[#names + 1] = base .. ':m:' .. hour
    end
    for quarter = day * 4, day * 4 + 3 do
      names[#names + 1] = base .. ':heard:' .. quarter
    end
    redis.call('UNLINK', unpack(names))
  end
  redis.call('UNLINK', base, base .. ':boots', base .. ':schemas', base .. ':days', base .. ':events', base .. ':open',
    base .. ':orders')
  redis.call('HSET', base, 'gen', gen, 'erased_at', now)
  return {gen, records, now}
end

redis.register_function('mw2_write', write)
redis.register_function('mw2_status', status)
redis.register_function('mw2_health', health)
redis.register_function('mw2_erase', erase)

#!lua name=moodwire_1
-- The writing half of the store: every function changes all keys of one device, or none, in one atomic call.
-- keys[1] is the device's hash `mw:{<id>}`; the other keys are that name with a suffix, so they share one slot.
-- `server/layout.py` is the reading half and describes the same bytes.

local CHUNK_MS = 300000
local HEARD_CHUNK_MS = 21600000
local DAY_MS = 86400000
local AHEAD_MS = 300000
local MOST_EVENTS = 10000
local SEQ_VALUES = 67108864
local BOOT = '<I4ddI4I4I4' -- index, first at, last at, records, lowest and highest sequence number
local NO_SEQ = 4294967295

-- name, length of one slot, slots of one key, types of a sum and of a histogram bin, the most a bin holds
local LEVELS = {
  {name = 'm', slot_ms = 60000, slots = 60, sum = 'I4', bin = 'H', most = 65535},
  {name = 'h', slot_ms = 3600000, slots = 24, sum = 'd', bin = 'I4', most = 4294967295},
  {name = 'd', slot_ms = DAY_MS, slots = 64, sum = 'd', bin = 'I4', most = 4294967295},
}

local function clock_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Returns the boot's entry as a table; a boot never heard of gets the next index, and nothing is written yet.
local function boot_entry(base, boot)
  local packed = redis.call('HGET', base .. ':boots', boot)
  if packed then
    return {struct.unpack(BOOT, packed)}
  end
  local made = tonumber(redis.call('HGET', base, 'boots') or 0)
  return {made + 1, 0, 0, 0, NO_SEQ, 0, fresh = true}
end

local function save_boot(base, boot, entry)
  if entry.fresh then
    redis.call('HSET', base, 'boots', entry[1])
  end
  redis.call('HSET', base .. ':boots', boot, struct.pack(BOOT, entry[1], entry[2], entry[3], entry[4], entry[5], entry[6]))
end

local function index_bytes(index)
  if index < 256 then
    return string.char(index)
  end
  return struct.pack('>I2', index)
end

-- Adds one reading to its minute, hour or day.
local function roll_up(base, level, at, schema, scores, winner, keep_ms)
  local slot = math.floor(at / level.slot_ms)
  local group = math.floor(slot / level.slots)
  local key = base .. ':' .. level.name .. ':' .. group
  local field = string.char(slot % level.slots, schema)
  local format = '<I4I4' .. string.rep(level.sum .. level.sum .. 'HH' .. string.rep(level.bin, 20), #scores)
  local packed = redis.call('HGET', key, field)
  local v
  if packed then
    v = {struct.unpack(format, packed)}
  else
    v = {0, 0}
    for _ = 1, #scores do
      v[#v + 1] = 0
      v[#v + 1] = 0
      v[#v + 1] = 65535
      for _ = 1, 21 do
        v[#v + 1] = 0
      end
    end
  end
  v[1] = v[1] + 1
  if not winner then
    v[2] = v[2] + 1
  end
  for i, score in ipairs(scores) do
    local o = 2 + (i - 1) * 24
    local bin = math.min(math.floor(score / 1000), 9)
    v[o + 1] = v[o + 1] + score
    v[o + 3] = math.min(v[o + 3], score)
    v[o + 4] = math.max(v[o + 4], score)
    v[o + 5 + bin] = math.min(v[o + 5 + bin] + 1, level.most)
    if i == winner then
      v[o + 2] = v[o + 2] + score
      v[o + 15 + bin] = math.min(v[o + 15 + bin] + 1, level.most)
    end
  end
  redis.call('HSET', key, field, struct.pack(format, unpack(v)))
  if not packed and redis.call('HLEN', key) == 1 then
    redis.call('PEXPIREAT', key, (group + 1) * level.slots * level.slot_ms + keep_ms)
  end
end

-- Once a day and device: forgets what retention has taken, where no key expires by itself.
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

-- Writes one record: args are boot, seq, generation, at, retention of records and of rollups in ms, the kind, and
-- for a reading its schema, number of labels and packed value, for a heard record its packed value.
-- Returns 'stored', 'repeat', 'expired', 'erased', or 'refused' with the reason behind a blank.
local function record(keys, args)
  local base = keys[1]
  local boot, seq, gen, at = args[1], tonumber(args[2]), tonumber(args[3]), tonumber(args[4])
  local keep_ms, keep_rollups_ms, kind = tonumber(args[5]), tonumber(args[6]), args[7]
  local now = clock_ms()
  local meta = redis.call('HMGET', base, 'gen', 'readings', 'latest', 'first_seen')
  local known_gen = tonumber(meta[1] or 0)
  if gen < known_gen then
    return 'erased'
  end
  if at < now - keep_ms then
    return 'expired'
  end
  if at > now + AHEAD_MS then
    return 'refused at lies ' .. math.ceil((at - now) / 1000) .. ' s ahead of the server; up to 300 s are taken'
  end
  local entry = boot_entry(base, boot)
  if entry[1] > 65535 then
    return 'refused the device has more than 65535 boots'
  end
  local schema
  if kind == 'reading' then
    schema = redis.call('HGET', base .. ':schemas', args[8])
    if not schema then
      schema = redis.call('HLEN', base .. ':schemas') + 1
      if schema > 255 then
        return 'refused the device has more than 255 kinds of readings (model, labels and span)'
      end
      redis.call('HSET', base .. ':schemas', args[8], schema)
    end
    schema = tonumber(schema)
  end
  local seen = base .. ':seen:' .. entry[1]
  if redis.call('SETBIT', seen, seq, 1) == 1 then
    return 'repeat'
  end

  local fields = {'last_seen', now}
  if kind == 'reading' then
    local packed = args[10]
    local value = string.char(schema) .. packed
    local scores = {struct.unpack('>' .. string.rep('H', tonumber(args[9])), packed, 3)}
    scores[#scores] = nil -- unpack adds the next position
    local winner
    if packed:byte(1) % 2 == 1 then
      winner = 1
      for i, score in ipairs(scores) do
        if score > scores[winner] then
          winner = i
        end
      end
    end
    local chunk = math.floor(at / CHUNK_MS)
    local number = (at - chunk * CHUNK_MS) * SEQ_VALUES + seq
    local field = struct.pack('>I3I3', math.floor(number / 16777216), number % 16777216) .. index_bytes(entry[1])
    local key = base .. ':r:' .. chunk
    redis.call('HSET', key, field, value)
    if redis.call('HLEN', key) == 1 then
      redis.call('PEXPIREAT', key, (chunk + 1) * CHUNK_MS + keep_ms)
    end
    for _, level in ipairs(LEVELS) do
      roll_up(base, level, at, schema, scores, winner, keep_rollups_ms)
    end
    fields[#fields + 1] = 'readings'
    fields[#fields + 1] = tonumber(meta[2] or 0) + 1
    if not meta[3] or at >= struct.unpack('<d', meta[3]) then
      fields[#fields + 1] = 'latest'
      fields[#fields + 1] = struct.pack('<d', at) .. value
    end
  else
    local chunk = math.floor(at / HEARD_CHUNK_MS)
    local key = base .. ':heard:' .. chunk
    local field = struct.pack('>I4I4', at - chunk * HEARD_CHUNK_MS, seq) .. index_bytes(entry[1])
    redis.call('HSET', key, field, args[8])
    if redis.call('HLEN', key) == 1 then
      redis.call('PEXPIREAT', key, (chunk + 1) * HEARD_CHUNK_MS + keep_ms)
    end
  end
  if not meta[4] then
    fields[#fields + 1] = 'first_seen'
    fields[#fields + 1] = now
  end
  if gen > known_gen then
    fields[#fields + 1] = 'gen'
    fields[#fields + 1] = gen
  end
  redis.call('HSET', base, unpack(fields))

  local first = entry[4] == 0
  -- A repeat of any of the boot's records is too old before the bitmap goes.
  if first or math.floor(at / DAY_MS) > math.floor(entry[3] / DAY_MS) then
    redis.call('PEXPIREAT', seen, (math.floor(at / DAY_MS) + 2) * DAY_MS + keep_ms)
  end
  entry[2] = first and at or math.min(entry[2], at)
  entry[3] = math.max(entry[3], at)
  entry[4] = entry[4] + 1
  entry[5] = math.min(entry[5], seq)
  entry[6] = math.max(entry[6], seq)
  save_boot(base, boot, entry)
  local day = math.floor(at / DAY_MS)
  if redis.call('ZADD', base .. ':days', day, day) == 1 then
    prune(base, boot, now - keep_rollups_ms)
  end
  return 'stored'
end

-- Takes over what a device says of itself: args are boot, connection, state, name, labels, model, version.
-- A last will that is older than what is known changes nothing and returns 'stale'.
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
  local now = clock_ms()
  redis.call('HSET', base, 'status_boot', boot, 'connection', connection, 'state', state, 'name', args[4],
    'labels', args[5], 'model', model, 'version', args[7])
  local changed = not same_boot or meta[3] ~= state or meta[4] ~= model
  if changed then
    redis.call('XADD', base .. ':events', 'MAXLEN', '~', MOST_EVENTS, '*', 'kind', state, 'model', model)
  end
  -- A repeated or retained message is no sign of life, and a last will is none at all.
  if state ~= 'offline' and (changed or connection > tonumber(meta[2])) then
    redis.call('HSET', base, 'last_seen', now)
  end
  -- An erased device is listed again when it sends records, not when it says hello.
  if not meta[5] and not meta[6] then
    redis.call('HSET', base, 'first_seen', now)
  end
  return 'stored'
end

-- Keeps the latest health message, args[1], of a device that is listed.
local function health(keys, args)
  if redis.call('HEXISTS', keys[1], 'first_seen') == 1 then
    redis.call('HSET', keys[1], 'health', args[1])
  end
  return 'stored'
end

-- Erases everything of a device but its next generation; returns that, the number of records and the time in ms.
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
    for chunk = day * 288, day * 288 + 287 do
      names[#names + 1] = base .. ':r:' .. chunk
    end
    for hour = day * 24, day * 24 + 23 do
      names[#names + 1] = base .. ':m:' .. hour
    end
    for quarter = day * 4, day * 4 + 3 do
      names[#names + 1] = base .. ':heard:' .. quarter
    end
    redis.call('UNLINK', unpack(names))
  end
  redis.call('UNLINK', base, base .. ':boots', base .. ':schemas', base .. ':days', base .. ':events')
  redis.call('HSET', base, 'gen', gen, 'erased_at', now)
  return {gen, records, now}
end

redis.register_function('mw1_record', record)
redis.register_function('mw1_status', status)
redis.register_function('mw1_health', health)
redis.register_function('mw1_erase', erase)

-- Deletes what is past the retention, day by day: the last part of one library with `store.lua`.
-- Redis would expire keys by its own clock alone, and one that jumps ahead would take everything at once. So ingest says
-- until when it believes the clocks, and the two clocks are compared again here, at the moment of the deletion.

local MOST_DAYS = 32 -- of one device in one call, each with up to 28 keys of records or 25 of rollups
local MOST_PAGES_AT_ONCE = 1000

-- Returns up to so many members that have a lower score.
local function lower(key, score, most)
  return redis.call('ZRANGEBYSCORE', key, '-inf', '(' .. score, 'LIMIT', 0, most)
end

-- Deletes readings and heard records of the days before one.
local function sweep_records(base, before)
  local days = lower(base .. ':record_days', before, MOST_DAYS)
  for _, day in ipairs(days) do
    redis.call('UNLINK', unpack(record_keys(base, day)))
    redis.call('ZREM', base .. ':record_days', day)
  end
  return #days
end

-- Deletes pages of sequence numbers whose last record is of a day before one.
local function sweep_pages(base, before)
  local ids = lower(base .. ':page_days', before, MOST_PAGES_AT_ONCE)
  for _, id in ipairs(ids) do
    redis.call('UNLINK', page_key(base, math.floor(id / PAGES_PER_BOOT), id % PAGES_PER_BOOT))
    redis.call('ZREM', base .. ':pages', id)
    redis.call('ZREM', base .. ':page_days', id)
  end
  return #ids
end

-- Deletes single readings that are kept beside those of their day: the latest one, and those not yet in the rollups.
local function sweep_single(base, before)
  local latest = redis.call('HGET', base, 'latest')
  if latest and struct.unpack('<d', latest) < before * DAY_MS then
    redis.call('HDEL', base, 'latest')
  end
  for _, entry in ipairs(redis.call('LRANGE', base .. ':open', 0, -1)) do
    if struct.unpack('>I6', entry) < before * DAY_MS then
      return fold(base)
    end
  end
end

-- Deletes rollups of the days before one, and then what says that there were such days.
local function sweep_rollups(base, before)
  local days, schemas = lower(base .. ':days', before, MOST_DAYS), redis.call('HLEN', base .. ':schemas')
  for _, member in ipairs(days) do
    local day, fields = tonumber(member), {}
    for schema = 1, schemas do
      fields[schema] = string.char(day % 64, schema)
    end
    redis.call('UNLINK', unpack(rollup_keys(base, day)))
    if schemas > 0 then
      redis.call('HDEL', base .. ':d:' .. math.floor(day / 64), unpack(fields))
    end
    redis.call('ZREM', base .. ':days', day)
  end
  if #days > 0 then
    forget_boots(base, before * DAY_MS)
  end
  redis.call('XTRIM', base .. ':events', 'MINID', math.max(before * DAY_MS, 0))
  return #days
end

local function sweep_device(base, records_before, rollups_before)
  local days = sweep_records(base, records_before)
  -- A page stays a day longer than its records: a repeat is too old before its bit is gone.
  local more = days == MOST_DAYS or sweep_pages(base, records_before - 1) == MOST_PAGES_AT_ONCE
  if not more then
    sweep_single(base, records_before)
    more = sweep_rollups(base, rollups_before) == MOST_DAYS
  end
  return {days, more and 1 or 0}
end

-- Deletes of one device the days that are wholly past the retention. Args: retention of records and of rollups, the
-- caller's clock, and until when the caller believes the clocks, all in ms. Returns how many days of records went and
-- whether there is more; or why nothing was done.
local function sweep(keys, args)
  local wrong = apart(tonumber(args[3]))
  if wrong then
    return wrong
  end
  local until_ms = math.min(clock_ms(), tonumber(args[4]))
  local records_before = math.floor((until_ms - tonumber(args[1])) / DAY_MS)
  local rollups_before = math.floor((until_ms - tonumber(args[2])) / DAY_MS)
  local done, found = pcall(sweep_device, keys[1], records_before, rollups_before)
  return done and found or tostring(type(found) == 'table' and found.err or found)
end

-- Takes the expiry from all keys of one device that versions before 0.4 have written, and notes what they did not: the
-- days that have records, and the last day of each page. Of a page that is the last day of its boot.
local function keep_all(base)
  local days = base .. ':days'
  redis.call('ZUNIONSTORE', base .. ':record_days', 2, base .. ':record_days', days, 'AGGREGATE', 'MAX')
  for _, day in ipairs(redis.call('ZRANGE', days, 0, -1)) do
    for _, names in ipairs({record_keys(base, day), rollup_keys(base, day), {base .. ':d:' .. math.floor(day / 64)}}) do
      for _, name in ipairs(names) do
        redis.call('PERSIST', name)
      end
    end
  end
  redis.call('PERSIST', base .. ':open')
  local last_days, boots = {}, redis.call('HGETALL', base .. ':boots')
  for i = 1, #boots, 2 do
    local entry = boot_entry(base, boots[i])
    last_days[entry[1]] = math.floor(entry[3] / DAY_MS)
  end
  for _, id in ipairs(redis.call('ZRANGE', base .. ':pages', 0, -1)) do
    local index = math.floor(id / PAGES_PER_BOOT)
    redis.call('PERSIST', page_key(base, index, id % PAGES_PER_BOOT))
    note_page(base, id, last_days[index] or math.floor(clock_ms() / DAY_MS))
  end
end

-- Does that for the devices in keys. Returns for each an empty text, or why it was not done.
local function keep(keys, _)
  local answers = {}
  for i, base in ipairs(keys) do
    local done, found = pcall(keep_all, base)
    answers[i] = done and '' or tostring(type(found) == 'table' and found.err or found)
  end
  return answers
end

redis.register_function{function_name = 'mw3_sweep', callback = sweep, flags = {'allow-oom'}} -- it frees memory
redis.register_function{function_name = 'mw3_keep', callback = keep, flags = {'allow-oom'}}

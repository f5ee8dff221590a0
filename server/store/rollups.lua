-- Minutes, hours and days: how readings are added up, and the bytes of the sums, which `rollups.py` reads back.
-- The first half of one library with `store.lua`.

local HOUR_MS = 3600000
local DAY_MS = 86400000
local PER_LABEL = 24 -- numbers of one label in a rollup: sum, sum won, min, max, 10 bins of all, 10 bins of won
local BINS = 20 -- of one label: 10 of all readings, 10 of those it won
local RESOLUTIONS = {
  {name = 'm', slot_ms = 60000, slots = 60},
  {name = 'h', slot_ms = HOUR_MS, slots = 24},
  {name = 'd', slot_ms = DAY_MS, slots = 64},
}

local function no_rollup(labels)
  local sums = {0, 0}
  for _ = 1, labels do
    local o = #sums
    for i = 1, PER_LABEL do
      sums[o + i] = 0
    end
    sums[o + 3] = 65535
  end
  return sums
end

-- Adds one rollup to another of the same labels.
local function add_rollup(sums, other)
  for i = 1, #sums do
    local part = (i - 3) % PER_LABEL
    if i > 2 and part == 2 then
      sums[i] = math.min(sums[i], other[i])
    elseif i > 2 and part == 3 then
      sums[i] = math.max(sums[i], other[i])
    else
      sums[i] = sums[i] + other[i]
    end
  end
end

-- Adds one reading to a rollup; of equal scores the first wins.
local function add_reading(sums, speech, scores, labels)
  local winner, best = 0, -1
  sums[1] = sums[1] + 1
  if speech then
    for i = 1, labels do
      if scores[i] > best then
        winner, best = i, scores[i]
      end
    end
  else
    sums[2] = sums[2] + 1
  end
  for i = 1, labels do
    local o, score = 2 + (i - 1) * PER_LABEL, scores[i]
    local bin = o + (score < 10000 and 5 + (score - score % 1000) / 1000 or 14)
    sums[o + 1] = sums[o + 1] + score
    if score < sums[o + 3] then
      sums[o + 3] = score
    end
    if score > sums[o + 4] then
      sums[o + 4] = score
    end
    sums[bin] = sums[bin] + 1
    if i == winner then
      sums[o + 2] = sums[o + 2] + score
      sums[bin + 10] = sums[bin + 10] + 1
    end
  end
end

-- Packs a rollup as numbers (LEB128: 7 bits a byte, lowest first, the high bit set in all bytes but the last):
-- readings, uncertain readings; for each label sum, sum won, min, max and a mask of the bins that are not 0; then those bins.
local function pack_rollup(sums)
  local bytes, bins, n = {}, {}, 0
  local function put(number)
    while number >= 128 do
      n = n + 1
      bytes[n] = number % 128 + 128
      number = math.floor(number / 128)
    end
    n = n + 1
    bytes[n] = number
  end
  put(sums[1])
  put(sums[2])
  for o = 2, #sums - 1, PER_LABEL do
    local mask = 0
    for bin = 0, BINS - 1 do
      local count = sums[o + 5 + bin]
      if count > 0 then
        mask = mask + 2 ^ bin
        bins[#bins + 1] = count
      end
    end
    for i = 1, 4 do
      put(sums[o + i])
    end
    put(mask)
  end
  for _, count in ipairs(bins) do
    put(count)
  end
  return string.char(unpack(bytes))
end

local function unpack_rollup(packed, labels)
  local bytes, at = {packed:byte(1, -1)}, 0
  local function next_number()
    local number, weight = 0, 1
    repeat
      at = at + 1
      number = number + bytes[at] % 128 * weight
      weight = weight * 128
    until bytes[at] < 128
    return number
  end
  local sums, masks = {next_number(), next_number()}, {}
  for label = 1, labels do
    local o = 2 + (label - 1) * PER_LABEL
    for i = 1, 4 do
      sums[o + i] = next_number()
    end
    masks[label] = next_number()
  end
  for label = 1, labels do
    local mask, o = masks[label], 2 + (label - 1) * PER_LABEL
    for bin = 0, BINS - 1 do
      sums[o + 5 + bin] = mask % 2 == 1 and next_number() or 0
      mask = math.floor(mask / 2)
    end
  end
  return sums
end

-- Adds the readings of `open` to their minutes, hours and days. Many at once cost little more than one.
local function fold(base)
  local parts = {}
  for _, entry in ipairs(redis.call('LRANGE', base .. ':open', 0, -1)) do
    local labels = (#entry - 8) / 2
    local at, schema, flags = struct.unpack('>I6BB', entry)
    local id = math.floor(at / RESOLUTIONS[1].slot_ms) * 256 + schema
    local part = parts[id]
    if not part then
      part = {at = at, schema = schema, labels = labels, sums = no_rollup(labels)}
      parts[id] = part
    end
    add_reading(part.sums, flags % 2 == 1, {struct.unpack('>' .. string.rep('H', labels), entry, 9)}, labels)
  end
  for _, resolution in ipairs(RESOLUTIONS) do
    local slots = {}
    for _, part in pairs(parts) do
      local id = math.floor(part.at / resolution.slot_ms) * 256 + part.schema
      if slots[id] then
        add_rollup(slots[id].sums, part.sums)
      else
        slots[id] = part
      end
    end
    for _, part in pairs(slots) do
      local slot = math.floor(part.at / resolution.slot_ms)
      local group = math.floor(slot / resolution.slots)
      local key = base .. ':' .. resolution.name .. ':' .. group
      local field = string.char(slot % resolution.slots, part.schema)
      local packed = redis.call('HGET', key, field)
      local sums = part.sums
      if packed then
        sums = unpack_rollup(packed, part.labels)
        add_rollup(sums, part.sums)
      end
      redis.call('HSET', key, field, pack_rollup(sums))
    end
    parts = slots
  end
  redis.call('DEL', base .. ':open')
end

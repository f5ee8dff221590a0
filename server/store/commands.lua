-- What a device says to an order: kept once, and only if somebody has asked.

-- KEYS: the device's orders. ARGS: transaction, answer.
local function answer(keys, args)
  local transaction, text = args[1], args[2]
  if not transaction:match('^%x+$') or redis.call('HEXISTS', keys[1], transaction) == 0 then
    return 'stale'
  end
  redis.call('HSETNX', keys[1], transaction .. ':answer', text)
  return 'stored'
end

redis.register_function('mw2_answer', answer)

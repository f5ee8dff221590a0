-- A device's response to a command: kept once, and only if an operator gave the command.

-- KEYS: the device's commands. ARGS: transaction, response.
local function answer(keys, args)
  local transaction, text = args[1], args[2]
  if not transaction:match('^%x+$') or redis.call('HEXISTS', keys[1], transaction) == 0 then
    return 'stale'
  end
  redis.call('HSETNX', keys[1], transaction .. ':answer', text)
  return 'stored'
end

redis.register_function('mw3_answer', answer)

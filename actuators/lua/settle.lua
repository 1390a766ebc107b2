-- Write a command's outcome, once, by the worker that holds its claim, and free the lane.
-- KEYS: command, lane, lease
-- ARGV: id, holder, keep_ms, status, detail, actuator, at, attempts
-- Returns {'settled', status, detail, actuator, at, attempts, source}, or {'lost'} where another worker took the claim over.
local command, lane, lease = KEYS[1], KEYS[2], KEYS[3]
local id, holder, keep_ms, status = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

local known = redis.call('HMGET', command, 'status', 'holder')
if known[2] and known[2] ~= holder then return {'lost'} end
if not known[1] or known[1] == 'claimed' then
  redis.call('HSET', command, 'status', status, 'detail', ARGV[5], 'actuator', ARGV[6], 'at', ARGV[7],
    'attempts', ARGV[8], 'holder', holder)
  redis.call('PEXPIRE', command, keep_ms)
  local last = redis.call('HMGET', lane, 'command', 'before')
  if status == 'failed' and last[1] == id then
    -- What did not act starts no cool-down; its sequence stays, so that nothing older acts.
    if last[2] and last[2] ~= '' then
      redis.call('HSET', lane, 'issued_at', last[2])
    else
      redis.call('HDEL', lane, 'issued_at')
    end
  end
end
if redis.call('GET', lease) == holder then redis.call('DEL', lease) end
return {'settled', unpack(redis.call('HMGET', command, 'status', 'detail', 'actuator', 'at', 'attempts', 'source'))}

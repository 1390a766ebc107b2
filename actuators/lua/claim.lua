-- Decide, in one step, whether a command may act now. Everything the decision needs is read and written here.
-- KEYS: command, lane (target and kind), lease of the lane, pauses
-- ARGV: id, holder, sequence (20 digits), issued_at, expires_at, now, cooldown_ms, lease_ms, keep_ms,
--       target, kind, actuator, source, repeatable (1 or 0)
-- Returns {word, status, detail, actuator, at, attempts, source}; word: granted, repeat, busy, refused, duplicate.
local command, lane, lease, pauses = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local id, holder, sequence = ARGV[1], ARGV[2], ARGV[3]
local issued_at, expires_at, now = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local cooldown_ms, lease_ms, keep_ms = tonumber(ARGV[7]), ARGV[8], ARGV[9]
local target, kind, actuator, source, repeatable = ARGV[10], ARGV[11], ARGV[12], ARGV[13], ARGV[14] == '1'

local FIELDS = {'status', 'detail', 'actuator', 'at', 'attempts', 'source'}

local function answer(word)
  return {word, unpack(redis.call('HMGET', command, unpack(FIELDS)))}
end

local function refuse(status, detail)
  redis.call('HSET', command, 'status', status, 'detail', detail, 'actuator', actuator, 'at', ARGV[6],
    'attempts', '0', 'source', source, 'holder', holder)
  redis.call('PEXPIRE', command, keep_ms)
  return answer('refused')
end

local function grant(word)
  redis.call('HSET', command, 'status', 'claimed', 'holder', holder, 'source', source)
  redis.call('PEXPIRE', command, keep_ms)
  redis.call('SET', lease, holder, 'PX', lease_ms)
  return {word}
end

local function paused()
  local all = redis.call('HGET', pauses, 'all')
  local one = redis.call('HGET', pauses, 'target:' .. target)
  if not (all or one) then return nil end
  local pause = cjson.decode(all or one)
  return (all and 'everything' or target) .. ' is paused by ' .. pause.by .. ': ' .. pause.reason
end

local known = redis.call('HMGET', command, 'status', 'holder')
local status, claimant = known[1], known[2]
if status and status ~= 'claimed' then
  -- The same holder asks again only where the first answer was lost on the way.
  return answer(claimant == holder and 'refused' or 'duplicate')
end

local busy = redis.call('GET', lease)
if busy and busy ~= holder then return {'busy'} end
if status and claimant == holder then return grant('granted') end

local last = redis.call('HMGET', lane, 'sequence', 'issued_at')
local pause = paused()

if status then -- claimed before by a worker that never reported: it may have acted
  local why = nil
  if not repeatable then why = actuator .. ' cannot repeat a command safely'
  elseif last[1] and last[1] > sequence then why = 'a newer command has acted since'
  elseif now >= expires_at then why = 'it has expired since'
  elseif pause then why = pause end
  if why then return refuse('unknown', 'interrupted between acting and reporting; not repeated: ' .. why) end
  return grant('repeat')
end

if now >= expires_at then
  return refuse('expired', 'expired at ' .. ARGV[5] .. ', now is ' .. ARGV[6])
end
if last[1] and last[1] >= sequence then
  return refuse('fenced', kind .. ' number ' .. string.gsub(last[1], '^0+(%d)', '%1') .. ' has acted on ' .. target ..
    ', this is number ' .. string.gsub(sequence, '^0+(%d)', '%1'))
end
if pause then return refuse('paused', pause) end
if cooldown_ms > 0 and last[2] and issued_at - tonumber(last[2]) < cooldown_ms then
  return refuse('cooling-down', 'issued at ' .. ARGV[4] .. ', less than ' .. ARGV[7] .. ' ms after the last ' ..
    kind .. ', issued at ' .. last[2])
end

redis.call('HSET', lane, 'sequence', sequence, 'issued_at', ARGV[4], 'command', id, 'before', last[2] or '')
return grant('granted')

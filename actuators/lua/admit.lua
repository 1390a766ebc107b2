-- Decide, in one step, whether a change keeps within the blast radius, and count it where it does.
-- KEYS: the changes of the window (hash: target -> "at start now", replicas before the first change and after the last)
-- ARGV: target, before, after (replicas; both -1 where the change is of another kind), now_ms, window_ms,
--       max_targets (0: any), max_share (0: any), fleet (replicas of all targets), up_factor (0: any), down_share (0: any)
-- Returns an empty string, or why not.
local changes = KEYS[1]
local target, before, after = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local now, window = tonumber(ARGV[4]), tonumber(ARGV[5])
local max_targets, max_share, fleet = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local up_factor, down_share = tonumber(ARGV[9]), tonumber(ARGV[10])

local others, moved, start = 0, 0, before
local stored = redis.call('HGETALL', changes)
for i = 1, #stored, 2 do
  local at, was, is = string.match(stored[i + 1], '^(%d+) (%-?%d+) (%-?%d+)$')
  if tonumber(at) <= now - window then
    redis.call('HDEL', changes, stored[i])
  elseif stored[i] == target then
    if tonumber(was) >= 0 then start = tonumber(was) end
  else
    others = others + 1
    moved = moved + math.abs(tonumber(is) - tonumber(was))
  end
end

local span = ' within ' .. tostring(window / 1000) .. ' s'
if max_targets > 0 and others + 1 > max_targets then
  return others .. ' other targets were changed' .. span .. ', at most ' .. max_targets .. ' may be'
end
if before >= 0 then
  local change = math.abs(after - start)
  if max_share > 0 and moved + change > math.max(1, max_share * fleet) then
    return (moved + change) .. ' of ' .. fleet .. ' replicas would be changed' .. span .. ', at most ' ..
      (max_share * 100) .. ' % may be'
  end
  if up_factor > 0 and after > start and after > math.max(start + 1, math.ceil(start * up_factor)) then
    return 'from ' .. start .. ' to ' .. after .. ' replicas' .. span .. ', at most times ' .. up_factor .. ' is allowed'
  end
  if down_share > 0 and after < start and start - after > math.max(1, math.floor(start * down_share)) then
    return 'from ' .. start .. ' to ' .. after .. ' replicas' .. span .. ', at most ' .. (down_share * 100) ..
      ' % may be taken'
  end
end

redis.call('HSET', changes, target, string.format('%d %d %d', now, start, after))
redis.call('PEXPIRE', changes, 2 * window)
return ''

-- Hold the lane longer, where the claim is still this worker's. Returns 1, or 0 where another worker took it over.
-- KEYS: command, lease
-- ARGV: holder, lease_ms
local command, lease = KEYS[1], KEYS[2]
if redis.call('HGET', command, 'holder') ~= ARGV[1] then return 0 end
local claimant = redis.call('GET', lease)
if claimant and claimant ~= ARGV[1] then return 0 end
redis.call('SET', lease, ARGV[1], 'PX', ARGV[2])
return 1

-- state, kept until (ms), expiry: whether it was the first time
local state = ARGV[2]
if redis.call('SETNX', login_key(state), '') == 0 then return 0 end
redis.call('PEXPIREAT', login_key(state), ARGV[3])
redis.call('ZADD', ends, ARGV[4], 'l' .. state)
return 1

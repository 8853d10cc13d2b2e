-- prefix, state, kept until (ms), expiry: whether it was the first time
local key = ARGV[1] .. 'login:' .. ARGV[2]
if redis.call('SETNX', key, '') == 0 then return 0 end
redis.call('PEXPIREAT', key, ARGV[3])
redis.call('ZADD', ARGV[1] .. 'login-ends', ARGV[4], ARGV[2])
return 1

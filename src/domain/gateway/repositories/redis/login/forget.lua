-- prefix, now, at most: how many states were deleted
local ends = ARGV[1] .. 'login-ends'
local due = redis.call('ZRANGEBYSCORE', ends, '-inf', ARGV[2], 'LIMIT', 0, ARGV[3])
for _, state in ipairs(due) do
  redis.call('DEL', ARGV[1] .. 'login:' .. state)
  redis.call('ZREM', ends, state)
end
return #due

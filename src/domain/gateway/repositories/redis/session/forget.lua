-- now, at most: how many sessions and states were deleted
local due = redis.call('ZRANGEBYSCORE', ends, '-inf', ARGV[2], 'LIMIT', 0, ARGV[3])
for _, member in ipairs(due) do
  local name = string.sub(member, 2)
  if string.sub(member, 1, 1) == 's' then
    local one = row(name)
    if one then remove(name, one[2], one[3]) end
  else
    redis.call('DEL', login_key(name))
  end
  redis.call('ZREM', ends, member)
end
return #due

-- now, at most: how many sessions were deleted
local due = redis.call('ZRANGEBYSCORE', ends, '-inf', ARGV[2], 'LIMIT', 0, ARGV[3])
for _, member in ipairs(due) do
  -- Others are states of sign-ins that an earlier version listed here; their keys expire by themselves.
  if string.sub(member, 1, 1) == 's' then
    local digest = string.sub(member, 2)
    local one = row(digest)
    if one then remove(digest, one[2], one[3]) end
  end
  redis.call('ZREM', ends, member)
end
return #due

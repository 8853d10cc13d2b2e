-- account, limit: its sessions, the last used first
local found, limit = {}, tonumber(ARGV[3])
for _, digest in ipairs(redis.call('ZREVRANGE', account_key(ARGV[2]), 0, -1)) do
  if #found >= limit then break end
  local one = row(digest)
  if one then
    found[#found + 1] = one
  else
    -- Its key has expired.
    redis.call('ZREM', account_key(ARGV[2]), digest)
  end
end
return found

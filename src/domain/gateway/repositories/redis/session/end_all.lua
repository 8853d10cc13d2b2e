-- account, the id of the session to keep or nothing: the ended sessions
local ended = {}
for _, digest in ipairs(redis.call('ZRANGE', account_key(ARGV[2]), 0, -1)) do
  local one = row(digest)
  if not one then
    -- Its key has expired.
    redis.call('ZREM', account_key(ARGV[2]), digest)
  elseif one[2] ~= ARGV[3] then
    remove(digest, one[2], one[3])
    ended[#ended + 1] = one
  end
end
return ended

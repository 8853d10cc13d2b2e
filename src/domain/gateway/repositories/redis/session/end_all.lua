-- account, the id that stays or nothing: what was ended
local ended = {}
for _, digest in ipairs(redis.call('ZRANGE', account_key(ARGV[2]), 0, -1)) do
  local one = row(digest)
  if not one then
    -- Its key ended by itself.
    redis.call('ZREM', account_key(ARGV[2]), digest)
  elseif one[2] ~= ARGV[3] then
    remove(digest, one[2], one[3])
    ended[#ended + 1] = one
  end
end
return ended

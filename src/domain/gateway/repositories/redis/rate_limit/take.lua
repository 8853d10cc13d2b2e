-- Takes one request out of each bucket, or out of none if one of them is empty.
-- ARGV: the prefix of all keys; for each bucket its digest, the microseconds in which one request is refilled, and those
-- in which an empty bucket becomes full.
-- Returns 0 and the microseconds until each bucket is full again; or the number of an empty bucket, and the microseconds
-- until it has a request.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local keys, full_at = {}, {}
for i = 1, (#ARGV - 1) / 3 do
  local digest, interval, filling = ARGV[3 * i - 1], tonumber(ARGV[3 * i]), tonumber(ARGV[3 * i + 1])
  keys[i] = ARGV[1] .. 'rate:' .. digest
  local known = tonumber(redis.call('GET', keys[i]) or '0')
  -- A clock that went back leaves times that no bucket can have.
  full_at[i] = math.min(math.max(known, now), now + filling) + interval
  local wait = full_at[i] - now - filling
  -- Times are exact to a quarter of a microsecond.
  if wait > 1 then
    return {i, {math.ceil(wait)}}
  end
end
local missing = {}
for i, key in ipairs(keys) do
  local left = full_at[i] - now
  redis.call('SET', key, string.format('%.3f', full_at[i]), 'PX', math.ceil(left / 1000))
  missing[i] = math.ceil(left)
end
return {0, missing}

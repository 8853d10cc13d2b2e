-- digest, kept until (ms), the fields: whether both names were free
local digest, at_ms, id, account, used_at, idle_until = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[7], ARGV[8]
if redis.call('EXISTS', session_key(digest), id_key(id)) > 0 then return 0 end
redis.call('HSET', session_key(digest), 'id', id, 'account', account, 'created_at', ARGV[6], 'used_at', used_at,
  'idle_until', idle_until, 'expires_at', ARGV[9], 'browser', ARGV[10], 'network', ARGV[11])
redis.call('SET', id_key(id), digest)
redis.call('ZADD', account_key(account), used_at, digest)
redis.call('ZADD', ends, idle_until, 's' .. digest)
for _, key in ipairs({ session_key(digest), id_key(id), account_key(account) }) do keep_until(key, at_ms) end
return 1

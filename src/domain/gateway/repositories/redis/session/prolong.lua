-- digest, kept until (ms), id, account, used_at, idle_until: whether it existed, was live, and ended sooner
local digest, at_ms, id, account, used_at, idle_until = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local held = tonumber(redis.call('HGET', session_key(digest), 'idle_until') or nil)
if not held or held <= tonumber(used_at) or tonumber(idle_until) <= held then return 0 end
redis.call('HSET', session_key(digest), 'used_at', used_at, 'idle_until', idle_until)
redis.call('ZADD', account_key(account), used_at, digest)
redis.call('ZADD', ends, idle_until, 's' .. digest)
for _, key in ipairs({ session_key(digest), id_key(id), account_key(account) }) do keep_until(key, at_ms) end
return 1

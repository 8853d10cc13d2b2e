-- Functions that the scripts share. A script runs as a whole: no other command sees half of it or runs in between.
local prefix = ARGV[1]

local function session_key(digest) return prefix .. 'session:' .. digest end
local function id_key(id) return prefix .. 'session-id:' .. id end
local function account_key(account) return prefix .. 'account:' .. account end
local ends = prefix .. 'ends'

-- Keeps a key at least until then. The sessions of one account share a key: the longest one decides.
local function keep_until(key, at_ms)
  local time = redis.call('TIME')
  local left = redis.call('PTTL', key)
  if left < 0 or time[1] * 1000 + math.floor(time[2] / 1000) + left < tonumber(at_ms) then
    redis.call('PEXPIREAT', key, at_ms)
  end
end

-- A session with its digest, or nil if there is none.
local function row(digest)
  local fields = redis.call('HMGET', session_key(digest),
    'id', 'account', 'created_at', 'used_at', 'idle_until', 'expires_at', 'browser', 'network')
  if not fields[1] then return nil end
  return { digest, unpack(fields) }
end

-- Deletes a session with all keys that lead to it.
local function remove(digest, id, account)
  redis.call('DEL', session_key(digest), id_key(id))
  redis.call('ZREM', account_key(account), digest)
  redis.call('ZREM', ends, 's' .. digest)
end

/** The scripts of the list of live sessions: each one round trip and atomic. */

/**
 * KEYS: nodes. ARGV: the lease in ms, and the node that renews its own. Answers 1 where that had none that was still good, by
 * the server's clock, else 0; and the nodes whose lease is.
 */
export const leaseScript = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
local entered = redis.call('ZADD', KEYS[1], string.format('%.0f', now + ARGV[1]), ARGV[2])
return {entered, redis.call('ZRANGE', KEYS[1], 0, -1)}
`;

/**
 * KEYS: hashes of sessions, each as often as it has entries. ARGV: for each of these a session_id, the session as JSON (empty:
 * it is taken out), and for how many ms from now the hash stays.
 */
export const enlistScript = `
for i, key in ipairs(KEYS) do
  local id, json, ttl = ARGV[3 * i - 2], ARGV[3 * i - 1], ARGV[3 * i]
  if json == '' then redis.call('HDEL', key, id)
  else
    redis.call('HSET', key, id, json)
    redis.call('PEXPIRE', key, ttl)
  end
end
return {'listed'}
`;

/**
 * The scripts of the chat. All keys of a call are in one slot. Times are Unix milliseconds by the server's clock.
 */
const clock = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
`;

/** KEYS: a room's history. ARGV: its channel, what is said, how many are kept (0 = this one is not), ms that they are kept. */
export const sayScript = `
if tonumber(ARGV[3]) > 0 then
  redis.call('RPUSH', KEYS[1], ARGV[2])
  redis.call('LTRIM', KEYS[1], -ARGV[3], -1)
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
end
redis.call('PUBLISH', ARGV[1], ARGV[2])
return {}
`;

/**
 * KEYS: the subjects in a room, their usernames, the nodes of one of them. ARGV: the node, the subject, its username,
 * lease in ms. Also renews. Answers whether the subject was on no node before; if it was, its username stays. What a full
 * Redis refuses comes first: to a script that has written already, it refuses nothing.
 */
export const arriveScript = `${clock}
local isNew = #redis.call('ZRANGE', KEYS[3], '(' .. now, '+inf', 'BYSCORE', 'LIMIT', 0, 1) == 0
local till = now + ARGV[4]
redis.call('ZADD', KEYS[1], till, ARGV[2])
if isNew or not redis.call('HGET', KEYS[2], ARGV[2]) then redis.call('HSET', KEYS[2], ARGV[2], ARGV[3]) end
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now)
redis.call('ZADD', KEYS[3], till, ARGV[1])
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ARGV[4]) end
return {isNew and 1 or 0}
`;

/** The same keys. ARGV: the node, the subject. Answers whether the subject is on no node now. */
export const departScript = `${clock}
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now)
if redis.call('ZCARD', KEYS[3]) > 0 then return {0} end
redis.call('HDEL', KEYS[2], ARGV[2])
return {redis.call('ZREM', KEYS[1], ARGV[2])}
`;

/**
 * KEYS: the subjects in a room, their usernames. ARGV: how many at most. Answers those whose lease is good, each followed
 * by its username.
 */
export const membersScript = `${clock}
for _, sub in ipairs(redis.call('ZRANGE', KEYS[1], '-inf', now, 'BYSCORE')) do redis.call('HDEL', KEYS[2], sub) end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local members = {}
for _, sub in ipairs(redis.call('ZRANGE', KEYS[1], 0, ARGV[1] - 1)) do
  members[#members + 1] = sub
  members[#members + 1] = redis.call('HGET', KEYS[2], sub) or ''
end
return members
`;

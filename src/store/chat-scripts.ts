/**
 * The scripts of the chat. All keys of a call are in one slot. Times are Unix milliseconds by the server's clock.
 */
const clock = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
`;

/** KEYS: a room's history. ARGV: its channel, what is said, how many are kept (0 = this one is not), ms that they are kept. Answers how many there are. */
export const sayScript = `
local kept = 0
if tonumber(ARGV[3]) > 0 then
  kept = redis.call('RPUSH', KEYS[1], ARGV[2])
  redis.call('LTRIM', KEYS[1], -ARGV[3], -1)
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
end
redis.call('PUBLISH', ARGV[1], ARGV[2])
return {kept}
`;

/**
 * KEYS: a room's members, then the nodes of one of them. ARGV: the node, the member, lease in ms. Also renews.
 * Answers whether the member was on no node before.
 */
export const arriveScript = `${clock}
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
local isNew = redis.call('ZCARD', KEYS[2]) == 0
local till = now + ARGV[3]
redis.call('ZADD', KEYS[1], till, ARGV[2])
redis.call('ZADD', KEYS[2], till, ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return {isNew and 1 or 0}
`;

/** The same keys. ARGV: the node, the member. Answers whether the member is on no node now. */
export const departScript = `${clock}
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
if redis.call('ZCARD', KEYS[2]) > 0 then return {0} end
return {redis.call('ZREM', KEYS[1], ARGV[2])}
`;

/** KEYS: a room's members. ARGV: how many at most. Answers those whose lease is good. */
export const membersScript = `${clock}
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
return redis.call('ZRANGE', KEYS[1], 0, ARGV[1] - 1)
`;

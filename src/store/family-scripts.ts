/** The scripts of refresh tokens' families: each one round trip and atomic. */

/** KEYS: refresh family. ARGV: the login as JSON, ttl in ms. */
export const beginFamilyScript = `
redis.call('HSET', KEYS[1], 'login', ARGV[1], 'generation', 1, 'rotated_at', 0)
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return {'begun'}
`;

/**
 * KEYS: refresh family. ARGV: the generation presented, ttl in ms, retry window in ms. As `RefreshFamilies.rotate`: a family that
 * was reused is ahead of every token that there can be.
 */
export const rotateFamilyScript = `
local login = redis.call('HGET', KEYS[1], 'login')
if not login then return {'unknown'} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local presented = tonumber(ARGV[1])
local current = tonumber(redis.call('HGET', KEYS[1], 'generation'))
if presented >= current then
  redis.call('HSET', KEYS[1], 'generation', presented + 1, 'rotated_at', string.format('%.0f', now))
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return {'rotated', login}
end
local rotated_at = tonumber(redis.call('HGET', KEYS[1], 'rotated_at'))
if presented == current - 1 and now - rotated_at <= tonumber(ARGV[3]) then return {'retried', login} end
redis.call('HSET', KEYS[1], 'generation', '10000000000')
return {'reused', login}
`;

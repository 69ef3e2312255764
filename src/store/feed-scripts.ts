import { tenure } from './ticket-scripts.ts';

/** The scripts of the feed of revocations, a stream: each one round trip and atomic. */

/**
 * KEYS: stream. ARGV: retention in ms, the revocation as JSON. Answers its tenure and its id, and forgets what is too old.
 */
export const publishScript = `${tenure}
local oldest = string.format('%.0f-0', now - ARGV[1])
local id = redis.call('XADD', KEYS[1], 'MINID', '~', oldest, '*', 'r', ARGV[2])
return {'published', tenure, id}
`;

/**
 * KEYS: a key beside the stream. ARGV: how long it stays, in ms. A write, so that a primary which can no longer be
 * written to does not pass for one. Answers the tenure, how many replicas are connected, and what time it is there, in ms.
 */
export const pulseScript = `${tenure}
redis.call('SET', KEYS[1], tenure, 'PX', ARGV[1])
return {'alive', tenure, info:match('connected_slaves:(%d+)'), string.format('%.0f', now)}
`;

/**
 * KEYS: stream. ARGV: the tenure that is meant, the id up to which the caller has read this stream, and revocations that it
 * has not met there, each as its rid and its JSON. Adds those that have not come since: a replica that took over had not heard
 * of them. They get new ids, since a stream takes no old ones. Looks at no entry twice: a stream may hold a million, and
 * nobody else is served meanwhile.
 */
export const restoreScript = `${tenure}
if tenure ~= ARGV[1] then return {'moved', tenure} end
local present = {}
for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '(' .. ARGV[2], '+')) do present[cjson.decode(entry[2][2]).rid] = true end
for i = 3, #ARGV, 2 do
  if not present[ARGV[i]] then redis.call('XADD', KEYS[1], '*', 'r', ARGV[i + 1]) end
end
return {'restored', tenure}
`;

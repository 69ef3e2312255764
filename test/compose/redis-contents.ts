import type { Stack } from './stack.ts';

const script = `
local readers = {
  string = function(key) return redis.call('GET', key) end,
  hash = function(key) return redis.call('HGETALL', key) end,
  list = function(key) return redis.call('LRANGE', key, 0, -1) end,
  set = function(key) return redis.call('SMEMBERS', key) end,
  zset = function(key) return redis.call('ZRANGE', key, 0, -1, 'WITHSCORES') end,
  stream = function(key) return redis.call('XRANGE', key, '-', '+') end,
}
local all, cursor = {}, '0'
repeat
  local page = redis.call('SCAN', cursor, 'COUNT', 1000)
  cursor = page[1]
  for _, key in ipairs(page[2]) do
    all[#all + 1] = { key = key, value = readers[redis.call('TYPE', key).ok](key) }
  end
until cursor == '0'
return cjson.encode(all)
`;

/** Every key and its value, whatever its type. */
export async function everythingInRedis(stack: Stack): Promise<{ key: string; value: unknown }[]> {
  const answer = await stack.compose(['exec', '-T', 'redis', 'operator', 'EVAL', script, '0']);
  return JSON.parse(answer) as { key: string; value: unknown }[];
}

/** The scripts of what is counted for all nodes together: each one round trip and atomic. */

/** KEYS: counters. ARGV: the window of each, in ms. Answers for each the count and the ms until it starts again. */
export const countScript = `
local answer = {}
for i, key in ipairs(KEYS) do
  local count = redis.call('INCR', key)
  local left = redis.call('PTTL', key)
  if left < 0 then
    redis.call('PEXPIRE', key, ARGV[i])
    left = tonumber(ARGV[i])
  end
  answer[i] = {count, left}
end
return answer
`;

/** KEYS: counter. Answers its count and the ms until it starts again, without counting. */
export const countedScript = `
return {tonumber(redis.call('GET', KEYS[1]) or 0), redis.call('PTTL', KEYS[1])}
`;

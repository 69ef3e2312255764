/**
 * The scripts of a ticket's life, each one round trip and atomic. All keys of a call are in one slot.
 *
 * A ticket's value is text, so that no script has to parse JSON and `redis-cli GET` can be read:
 *
 *     1 <tenure> <minted, ms> <exp, ms>\n<aud>\n<origin>\n<ip>\n<rooms>\n<sub>\n<minted_by>\n<the rest as JSON>
 *
 * `rooms` is empty for any, else every room between tabs. A spent ticket's key holds a tombstone instead: `U<session_id>`
 * for used, `R` for revoked. `record-text.ts` is the other side of this form.
 *
 * The tenure is the primary's `master_replid`: fresh at every start and every promotion. A ticket counts only in the
 * tenure that it was minted in, because across a restart or a failover its deletion may have been lost.
 */
export const tenure = `
local info = redis.call('INFO', 'replication')
local tenure = info:find('role:master', 1, true) and info:match('master_replid:(%x+)')
if not tenure then return {'replica'} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
`;

/**
 * KEYS: tickets. ARGV: the tenure that the caller last saw; for each ticket its ttl in ms, and its value from `\n<aud>` on.
 * The tenure comes from the caller, so that a mint which a library or a proxy sends again elsewhere is refused there.
 * Answers the tenure to use next time, and for each ticket `stored`, or `moved` or `taken`.
 */
export const mintScript = `${tenure}
local answer = {tenure}
for i = 1, #KEYS do
  local ttl, body = ARGV[2 * i], ARGV[2 * i + 1]
  if tenure ~= ARGV[1] then answer[i + 1] = 'moved'
  elseif redis.call('SET', KEYS[i], string.format('1 %s %.0f %.0f', tenure, now, now + ttl) .. body, 'PX', ttl, 'NX')
  then answer[i + 1] = 'stored'
  else answer[i + 1] = 'taken' end
end
return answer
`;

/**
 * KEYS: for each ticket its own, that of its answer, and, with a limit, the counter of the attempts on whose account it is
 * presented. ARGV: tombstone margin in ms; limit (0 = none), window in ms, `failed` or `all`; for each ticket session_id, aud,
 * origin, addresses (each between newlines; empty = not checked), room, and who may ask for the answer again within how many
 * ms. Absent = empty.
 *
 * Checks as `misfit()` does, and spends a ticket only when all of them hold. An address over its limit has its ticket left
 * alone. A ticket of another tenure is not counted: it was good until the store failed.
 */
export const redeemScript = `${tenure}
local margin, limit, window, all = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4] == 'all'
local keys = limit > 0 and 3 or 2

local function count(counter)
  local attempts = redis.call('INCR', counter)
  if attempts == 1 or redis.call('PTTL', counter) < 0 then redis.call('PEXPIRE', counter, window) end
  return attempts
end

local function over(counter)
  if all then return count(counter) > limit end
  return tonumber(redis.call('GET', counter) or 0) >= limit
end

local function redeem(key, answers, session, aud, origin, addresses, room, asker, repeatable)
  local value = redis.call('GET', key)
  if not value then return {'unknown'} end
  local kind = value:sub(1, 1)
  if kind == 'R' then return {'revoked'} end
  if kind == 'U' then
    local known, at, age, given = (asker ~= '' and redis.call('GET', answers) or ''):match('^([^\\n]*)\\n(%d+) (%d+)\\n(.*)$')
    if known == asker then return {'repeated', given, tonumber(age), tonumber(at), value:sub(2)} end
    return {'used', value:sub(2)}
  end
  local minted_in, minted, exp, for_aud, for_origin, for_ip, rooms =
    value:match('^1 (%x+) (%d+) (%d+)\\n([^\\n]*)\\n([^\\n]*)\\n([^\\n]*)\\n([^\\n]*)\\n')
  if minted_in ~= tenure then return {'fenced'} end
  if tonumber(exp) <= now then return {'expired'} end
  if for_aud ~= '' and for_aud ~= aud then return {'misfit', 'aud'} end
  if for_origin ~= '' and for_origin ~= origin then return {'misfit', 'origin'} end
  if for_ip ~= '' and addresses ~= '' and not addresses:find('\\n' .. for_ip .. '\\n', 1, true) then return {'misfit', 'ip'} end
  if rooms ~= '' and room ~= '' and not rooms:find('\\t' .. room .. '\\t', 1, true) then return {'misfit', 'room'} end
  redis.call('GETDEL', key)
  redis.call('SET', key, 'U' .. session, 'PX', string.format('%.0f', exp - now + margin))
  if asker ~= '' then
    redis.call('SET', answers, string.format('%s\\n%.0f %.0f\\n', asker, now, now - minted) .. value, 'PX', repeatable)
  end
  return {'redeemed', value, now - minted, now}
end

local answer = {}
for i = 0, #KEYS / keys - 1 do
  local key, a = i * keys + 1, i * 7 + 5
  local counter = KEYS[key + 2]
  if limit > 0 and over(counter) then
    answer[i + 1] = {'limited', redis.call('PTTL', counter)}
  else
    local result = redeem(KEYS[key], KEYS[key + 1], unpack(ARGV, a, a + 6))
    local good = result[1] == 'redeemed' or result[1] == 'repeated' or result[1] == 'fenced'
    if limit > 0 and not all and not good then count(counter) end
    answer[i + 1] = result
  end
end
return answer
`;

/**
 * KEYS: ticket. ARGV: tombstone margin in ms, whose it must be (`sub`, `key` or `holder`), and that one's name.
 * A ticket of another tenure is buried too: it could not be redeemed anyway.
 */
export const revokeScript = `${tenure}
local value = redis.call('GET', KEYS[1])
if not value then return {'unknown'} end
local kind = value:sub(1, 1)
if kind == 'U' then return {'used', value:sub(2)} end
if kind == 'R' then return {'revoked'} end
local exp, sub, minted_by =
  value:match('^1 %x+ %d+ (%d+)\\n[^\\n]*\\n[^\\n]*\\n[^\\n]*\\n[^\\n]*\\n([^\\n]*)\\n([^\\n]*)\\n')
if not exp then return {'unknown'} end
if ARGV[2] == 'sub' and sub ~= ARGV[3] then return {'forbidden'} end
if ARGV[2] == 'key' and (minted_by == '' or minted_by ~= ARGV[3]) then return {'forbidden'} end
redis.call('SET', KEYS[1], 'R', 'PX', string.format('%.0f', math.max(exp - now, 0) + ARGV[1]))
return {'revoked'}
`;

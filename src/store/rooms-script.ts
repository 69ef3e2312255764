/**
 * KEYS: subjects' sets of rooms. ARGV: how many rooms a ticket takes; for each subject how many rooms are asked for, and
 * these. Answers for each `any` where there is no set, else `rooms` with those of it that were asked for, or with all. SCARD
 * tells both whether it is there (an empty set is none) and whether it is too large to be copied for every ticket. `refused`
 * with what Redis said, where it is no set: operators write it, and those that are asked about together are not to suffer.
 */
export const roomsScript = `
local function rooms(key, first, asked)
  local size = redis.pcall('SCARD', key)
  if type(size) == 'table' then return {'refused', size.err} end
  if size == 0 then return {'any'} end
  local answer = {'rooms'}
  if asked > 0 then
    for i, held in ipairs(redis.call('SMISMEMBER', key, unpack(ARGV, first, first + asked - 1))) do
      if held == 1 then table.insert(answer, ARGV[first + i - 1]) end
    end
    return answer
  end
  if size > tonumber(ARGV[1]) then return {'too_many'} end
  for _, room in ipairs(redis.call('SMEMBERS', key)) do table.insert(answer, room) end
  return answer
end

local answers, at = {}, 2
for i, key in ipairs(KEYS) do
  local asked = tonumber(ARGV[at])
  answers[i] = rooms(key, at + 1, asked)
  at = at + 1 + asked
end
return answers
`;

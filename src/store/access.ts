import type { RedisConnection } from './connection.ts';
import { excesses, grants } from './grants.ts';

/** What a Redis user may do. */
export interface Access {
  /** Commands that we need and that it may not run, as ACL rules name them. */
  lacking: string[];
  /** It may run all of them, but not on keys of ours. */
  keysOutOfReach: boolean;
  /** Commands that it should not be able to run. */
  excessive: string[];
  /** It may also touch keys that are not ours. */
  foreignKeys: boolean;
}

export interface AccessOptions {
  prefix: string;
  chat: boolean;
  database: boolean;
}

/**
 * Asks Redis what the user that we are may do, and runs none of it. Only whole calls are asked about: Redis 7.0 dies when
 * it is asked about an EVAL that does not say how many keys it has.
 */
const accessScript = `
if not redis.acl_check_cmd then return {'unknown'} end
local answers = {}
for i, call in ipairs(ARGV) do
  local words = {}
  for word in string.gmatch(call, '%S+') do words[#words + 1] = word end
  local known, may = pcall(redis.acl_check_cmd, unpack(words))
  answers[i] = known and (may and 'yes' or 'no') or 'unknown'
end
return answers`;

/**
 * @returns undefined: Redis before 7 cannot be asked
 * @throws BrokerError `store_unavailable`, also where the user may not even run scripts
 */
export async function accessTo(
  connection: RedisConnection,
  { prefix, chat, database }: AccessOptions,
): Promise<Access | undefined> {
  const needed = {
    ...grants.always,
    ...(chat && grants.chat),
    ...(database && grants.database),
    ...(connection.sharded && grants.cluster),
  };
  const answers = new Map<string, string>();
  const ask = async (calls: Readonly<Record<string, string>>) => {
    const asked = Object.entries(calls).map(([rule, args]) => wholeCall(rule, args, prefix));
    const said = (await connection.command('EVAL', accessScript, '0', ...asked)) as string[];
    Object.keys(calls).forEach((rule, index) => {
      answers.set(rule, said[index] ?? 'unknown');
    });
    return said.length === asked.length;
  };
  if (!(await ask({ ...needed, ...excesses }))) return undefined;
  const lacking = Object.keys(needed).filter((rule) => answers.get(rule) === 'no');
  const excessive = Object.keys(excesses).filter((rule) => answers.get(rule) === 'yes');
  const withKey = Object.entries<string>(needed).filter(([, args]) => args.split(' ').includes('K'));
  await ask({ get: 'ticket-broker-doctor' });
  return {
    lacking,
    keysOutOfReach: withKey.every(([rule]) => lacking.includes(rule)),
    excessive,
    foreignKeys: !'ticket-broker-doctor'.startsWith(prefix) && answers.get('get') === 'yes',
  };
}

function wholeCall(rule: string, args: string, prefix: string): string {
  const words = args.split(' ').map((word) => {
    if (word === 'K') return `${prefix}self-test`;
    return word === 'C' ? `${prefix}chat` : word;
  });
  return [...rule.split('|'), ...words].join(' ').trim();
}

/** The commands that a Redis user of ours needs, as docs/guarantees.md lists them. */
export const grants = {
  /** To every Redis that holds tickets. */
  always: [
    '+client|setname',
    '+eval',
    '+evalsha',
    '+info',
    '+time',
    '+get',
    '+set',
    '+getdel',
    '+incr',
    '+pttl',
    '+pexpire',
    // The rooms that an operator keeps for a subject.
    '+scard',
    '+smismember',
    '+smembers',
    // The feed of revocations.
    '+xadd',
    '+xread',
    '+xrange',
    '+wait',
    // The registry of sessions.
    '+hset',
    '+hget',
    '+hvals',
    '+hscan',
    '+hdel',
    '+zadd',
    '+zrange',
    '+zrem',
    '+zremrangebyscore',
    '+del',
  ],
  /** Where CHAT is on. */
  chat: ['+rpush', '+ltrim', '+lrange', '+zcard', '+publish', '+subscribe', '+unsubscribe', '&wst:chat*'],
  /** Where the URL ends in a database number. */
  database: ['+select'],
  cluster: ['+cluster|slots', '+cluster|info', '+asking', '+readonly', '+readwrite'],
  /** To the sentinels' own default user, whom we are there. */
  sentinel: ['+sentinel|get-master-addr-by-name', '+sentinel|sentinels', '+subscribe'],
} as const;

/** The rules of `ACL SETUSER broker`, for a user with these commands and our keys. */
export function userRules(password: string, commands: readonly string[]): string[] {
  return ['reset', 'on', `>${password}`, 'resetchannels', '~wst:*', '-@all', ...commands];
}

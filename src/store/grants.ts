/**
 * What a Redis user of ours needs, by the name that ACL rules have for it, each with the arguments of a call: K is a key
 * of ours, C a channel. docs/guarantees.md lists them; tests hold each of them to be needed, and all to be enough.
 */
export const grants = {
  /** Of every Redis that holds tickets. */
  always: {
    'client|setname': 'name',
    eval: 'return 1 K',
    evalsha: '0 1 K',
    info: '',
    time: '',
    get: 'K',
    set: 'K value',
    getdel: 'K',
    incr: 'K',
    pttl: 'K',
    pexpire: 'K 1',
    // The rooms that an operator keeps for a subject.
    scard: 'K',
    smismember: 'K member',
    smembers: 'K',
    // The feed of revocations.
    xadd: 'K * field value',
    xread: 'STREAMS K 0',
    xrange: 'K - +',
    wait: '0 0',
    // The registry of sessions.
    hset: 'K field value',
    hget: 'K field',
    hvals: 'K',
    hscan: 'K 0',
    hdel: 'K field',
    zadd: 'K 0 member',
    zrange: 'K 0 0',
    zrem: 'K member',
    zremrangebyscore: 'K 0 0',
    del: 'K',
  },
  /** Where CHAT is on. */
  chat: {
    rpush: 'K value',
    ltrim: 'K 0 0',
    lrange: 'K 0 0',
    zcard: 'K',
    publish: 'C text',
    subscribe: 'C',
    unsubscribe: 'C',
  },
  /** Where the URL ends in a database number. */
  database: { select: '0' },
  cluster: { 'cluster|slots': '', 'cluster|info': '', asking: '', readonly: '', readwrite: '' },
  /** Of the sentinels themselves. */
  sentinel: {
    'sentinel|get-master-addr-by-name': 'name',
    'sentinel|sentinels': 'name',
    subscribe: '+switch-master',
  },
} as const satisfies Record<string, Record<string, string>>;

/** What nobody should be able to do who gets hold of a node. */
export const excesses: Readonly<Record<string, string>> = {
  flushall: '',
  flushdb: '',
  keys: '*',
  'config|set': 'maxmemory 0',
  'acl|setuser': 'name',
  shutdown: '',
  replicaof: 'NO ONE',
  swapdb: '0 0',
  debug: 'SLEEP 0',
  'module|load': 'path',
};

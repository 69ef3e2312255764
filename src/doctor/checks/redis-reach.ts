import type { Inspection } from '../../store/inspection.ts';
import { type Finding, fault, ok, warning } from '../finding.ts';
import { isGuessable } from '../guessable.ts';

/** @returns a fault when there is no connection, naming the kind of failure */
export async function checkReach(redis: Inspection): Promise<Finding> {
  const reason = await redis.reach();
  if (reason === undefined) return ok('redis', 'Redis can be reached.');
  return fault('redis', `Redis cannot be reached: ${reason}.`, remedyOf(reason, redis));
}

function remedyOf(reason: string, { address }: Inspection): string {
  const sentinels =
    'See whether the sentinels are up, take our login, and know the primary by the name in REDIS_URL.';
  if (reason.startsWith('sentinels:')) return sentinels;
  if (/WRONGPASS|NOAUTH/.test(reason)) return 'Give user name and password of the Redis user in REDIS_URL.';
  if (/CERT/.test(reason)) return 'Name the authority that signed its certificate: REDIS_CA_FILE.';
  if (/ERR_(SSL|TLS)/.test(reason)) return 'Say redis:// where Redis takes no TLS, rediss:// where it does.';
  if (reason === 'ECONNREFUSED') return 'Start Redis, or mend host and port in REDIS_URL.';
  if (/ENOTFOUND|EAI_AGAIN/.test(reason)) return 'Mend the host name in REDIS_URL: it has no address here.';
  if (reason === 'replied ERR' && address.db > 0)
    return 'Mend the number of the database in REDIS_URL: Redis has none of that number.';
  if (reason === 'ECONNRESET')
    return 'Say rediss:// where Redis takes TLS, and see what is between it and here.';
  if (/timeout|ETIMEDOUT/.test(reason) && address.tls)
    return 'Say redis:// if Redis takes no TLS there; else see whether a firewall is between this machine and it.';
  if (reason === 'answered as no Redis does')
    return 'Mend host and port in REDIS_URL: something else is there.';
  if (address.mode === 'sentinel') return sentinels;
  if (address.mode === 'cluster') return 'See whether the nodes of the cluster are up, and take our login.';
  return 'See whether a firewall or a network is between this machine and Redis.';
}

/** What is to keep others from it; nothing has to on a machine of one's own. */
export function checkPassword({ address }: Inspection): Finding[] {
  const id = 'redis-password';
  const { password, nodes } = address;
  if (password === undefined) {
    if (nodes.every(({ host }) => host === 'localhost' || /^(127\.|::1$)/.test(host))) return [];
    return [
      warning(
        id,
        'REDIS_URL has no password: whoever reaches Redis may do all that its default user may.',
        'Make a user as docs/guarantees.md lists it, and switch the default user off.',
      ),
    ];
  }
  if (password.length >= 16 && !isGuessable(password, 48)) return [ok(id, 'It has a password.')];
  return [
    warning(
      id,
      'The password in REDIS_URL can be guessed, and Redis limits nobody who tries.',
      'Put a random one in its place, such as `openssl rand -hex 32` prints.',
    ),
  ];
}

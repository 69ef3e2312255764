import { BrokerError } from '../errors.ts';
import type { RedisConnection } from './connection.ts';

/**
 * The answer of a script that looks at the tenure. A replica's says only that it is one: the primary is somewhere else now, and
 * is looked for.
 *
 * @throws BrokerError `store_unavailable`
 */
export function ofPrimary<Answer>(
  connection: Pick<RedisConnection, 'relocate'>,
  answer: readonly unknown[],
): Answer[] {
  if (answer[0] !== 'replica') return answer as Answer[];
  connection.relocate();
  throw new BrokerError('store_unavailable', { reason: 'store: not a primary' });
}

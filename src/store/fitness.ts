import { BrokerError } from '../errors.ts';
import type { RedisConnection } from './connection.ts';
import { replyIn } from './driver-errors.ts';
import { faultOfRedis, type TriedStore } from './self-test.ts';
import type { Store } from './store.ts';

export interface FitnessOptions {
  connection: RedisConnection;
  store: TriedStore;
  /** Begins every key. */
  prefix: string;
  /** Told what a self-test found missing, and `undefined` when nothing is any more. */
  onFault: (fault: string | undefined) => void;
}

export interface Fitness extends Pick<Store, 'check'> {
  /** Looks whether this Redis is what we need. For each new connection, and each new tenure. */
  selfTest(): Promise<void>;
}

/** Whether a Redis is what we need, as far as it has been seen. */
export function fitness({ connection, store, prefix, onFault }: FitnessOptions): Fitness {
  let fault: string | undefined;
  let tested = false;
  let testing: Promise<void> | undefined;

  const test = async () => {
    try {
      const found = await faultOfRedis(connection, store, prefix);
      if (found !== fault) onFault(found);
      fault = found;
      tested = true;
    } catch (error) {
      // Whether it can be reached is for the calls to find out; `check` asks for another test.
      if (!(error instanceof BrokerError)) throw error;
    }
  };
  const selfTest = () => {
    testing ??= test().finally(() => {
      testing = undefined;
    });
    return testing;
  };

  return {
    selfTest,

    async check() {
      if (!tested || fault !== undefined) await selfTest();
      if (fault !== undefined) throw new BrokerError('store_unavailable', { description: fault });
      // A write: a primary that is full, or has too few replicas, still answers reads.
      try {
        await store.count('readyz', 1000);
      } catch (error) {
        if (replyIn(error) !== undefined) await selfTest();
        const { refusal } = connection;
        const known = fault ?? (refusal && `Redis refuses our connection (${refusal}).`);
        throw known ? new BrokerError('store_unavailable', { description: known }) : error;
      }
    },
  };
}

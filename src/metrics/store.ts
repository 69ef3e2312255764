import { Gauge, type Registry } from '@prometheus-io/client';
import type { RedisMemory } from '../store/redis-memory.ts';
import type { Store } from '../store/store.ts';

export interface WatchedStore {
  store: Pick<Store, 'check'>;
  /** Of the fullest primary; undefined where there is no Redis. */
  redisMemory: () => Promise<RedisMemory | undefined>;
}

/** Whether the store can be worked with, and how full it is. */
export function storeMetrics(registers: Registry[]): { watch(store: WatchedStore): void } {
  let watched: WatchedStore | undefined;
  let asked: Promise<RedisMemory | undefined> | undefined;

  /** One question for both that are told with a scrape; undefined, too, while Redis does not answer. */
  const memory = () => {
    asked ??= Promise.resolve(watched?.redisMemory())
      .catch(() => undefined)
      .finally(() => {
        asked = undefined;
      });
    return asked;
  };
  const told = async (gauge: Gauge, field: keyof RedisMemory) => {
    const answer = await memory();
    if (answer) gauge.set(answer[field]);
    else gauge.remove();
  };

  new Gauge({
    name: 'ticket_broker_store_up',
    help: '1 when tickets can be minted and redeemed now; asked with every scrape.',
    registers,
    async collect() {
      const up = await watched?.store.check().then(
        () => true,
        () => false,
      );
      this.set(up ? 1 : 0);
    },
  });
  new Gauge({
    name: 'ticket_broker_redis_memory_used_bytes',
    help: 'What Redis uses, in Cluster the fullest primary; not there without Redis, or while it does not answer.',
    registers,
    collect() {
      return told(this, 'used');
    },
  });
  new Gauge({
    name: 'ticket_broker_redis_memory_max_bytes',
    help: 'What the same Redis may use, its maxmemory; 0: nothing but its machine limits it.',
    registers,
    collect() {
      return told(this, 'max');
    },
  });

  return {
    watch(store) {
      watched = store;
    },
  };
}

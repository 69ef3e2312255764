import { randomUUID } from 'node:crypto';
import { inject } from 'vitest';
import { connect } from '../../src/store/connection.ts';
import { redisFamilies } from '../../src/store/redis-families.ts';
import { refreshContract } from '../support/refresh-contract.ts';

const prefix = `test-${randomUUID()}:`;
const { promise: connected, resolve } = Promise.withResolvers<void>();
const connection = connect({
  url: inject('redisUrl'),
  commandTimeout: 2000,
  onState: (state) => state === 'connected' && resolve(),
});

refreshContract('Redis', async () => {
  await connected;
  return redisFamilies({ connection, prefix });
});

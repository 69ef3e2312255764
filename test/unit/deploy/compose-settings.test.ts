import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { secrets, type VariableName, variables } from '../../../src/variables.ts';

const compose = parse(readFileSync(new URL('../../../docker-compose.yml', import.meta.url), 'utf8'), {
  merge: true,
});
const settings = compose['x-settings'] as Record<string, string | number | null>;
const environmentOf = (service: string) => Object.keys(compose.services[service].environment);

/** What .env cannot set, and why. */
const leftOut: Partial<Record<VariableName, string>> = {
  HOST: 'the image listens on all addresses of the container',
  PORT: 'nginx, the health checks and Prometheus ask at 8080',
  TIERS: 'each service says its own',
  WS_PATH: 'nginx leads /ws to the WebSocket nodes, and nothing else',
  REDIS_URL: 'a file made at the first start has it, with its password',
  REDIS_CA_FILE: 'Redis speaks no TLS on its internal network',
  REDIS_CERT_FILE: 'the same',
  REDIS_KEY_FILE: 'the same',
  KEY_PREFIX: 'the users of Redis may touch wst: only',
  DRAIN_TIMEOUT: 'stop_grace_period, which .env does not reach, has to be longer',
  JWT_SECRET: 'a file made at the first start has it, for the HTTP nodes only',
  JWT_PRIVATE_KEY: 'instead of that secret',
  USERS_FILE: 'in a volume of the HTTP nodes',
  SERVICE_KEYS_FILE: 'the same',
};

describe('what .env sets for docker-compose', () => {
  const names = Object.keys(variables) as VariableName[];

  test('is every variable but those that are left out for a reason', () => {
    expect(names.filter((name) => !(name in settings) && !(name in leftOut))).toEqual([]);
    expect(Object.keys(leftOut).filter((name) => name in settings)).toEqual([]);
  });

  test('is nothing that the broker does not read', () => {
    const known = [...names, ...secrets.map((name) => `${name}_FILE`)];
    const named = ['http', 'ws'].flatMap(environmentOf);
    expect(named.filter((name) => !known.includes(name))).toEqual([]);
  });

  test('reaches both tiers', () => {
    for (const service of ['http', 'ws']) {
      expect(environmentOf(service)).toEqual(expect.arrayContaining(Object.keys(settings)));
    }
  });
});

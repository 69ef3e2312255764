import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { RefreshFamilies } from '../../src/credentials/refresh-families.ts';

const login = { sub: 'alice', username: 'Alice', auth_time: 1_700_000_000.123 };

/** What every driver of refresh families does. */
export function refreshContract(driver: string, open: () => Promise<RefreshFamilies>): void {
  describe(`${driver} refresh families`, () => {
    const begun = async (ttlMs = 60_000) => {
      const families = await open();
      const family = randomUUID();
      await families.begin(family, login, ttlMs);
      return { families, family };
    };

    test('each generation is spent for the next', async () => {
      const { families, family } = await begun();
      for (const generation of [1, 2, 3]) {
        expect(await families.rotate(family, generation, 60_000)).toEqual({ outcome: 'rotated', login });
      }
    });

    test('the generation before is a retry for a moment; one before that is a reuse', async () => {
      const { families, family } = await begun();
      await families.rotate(family, 1, 60_000);
      expect(await families.rotate(family, 1, 60_000)).toEqual({ outcome: 'retried', login });
      await families.rotate(family, 2, 60_000);
      expect(await families.rotate(family, 1, 60_000)).toEqual({ outcome: 'reused', login });
    });

    test('of a family that was reused, every token says so, until it is ended', async () => {
      const { families, family } = await begun();
      for (const generation of [1, 2, 3]) await families.rotate(family, generation, 60_000);
      for (const generation of [1, 4, 3, 5, 999_999_999]) {
        expect(await families.rotate(family, generation, 60_000)).toEqual({ outcome: 'reused', login });
      }
      await families.end(family);
      for (const generation of [1, 4]) {
        expect(await families.rotate(family, generation, 60_000)).toEqual({ outcome: 'unknown' });
      }
    });

    test('a family that was reused ends with its time, which no token prolongs', async () => {
      const { families, family } = await begun();
      await families.rotate(family, 1, 60_000);
      await families.rotate(family, 2, 3000);
      expect(await families.rotate(family, 1, 60_000)).toEqual({ outcome: 'reused', login });
      await expect.poll(async () => (await families.rotate(family, 3, 60_000)).outcome).toBe('unknown');
    });

    test('a family that lost a rotation in a failover goes on from the token that is ahead', async () => {
      const { families, family } = await begun();
      expect(await families.rotate(family, 4, 60_000)).toEqual({ outcome: 'rotated', login });
      expect(await families.rotate(family, 2, 60_000)).toEqual({ outcome: 'reused', login });
    });

    test('one of many at once rotates, and the others are retries of it', async () => {
      const { families, family } = await begun();
      const answers = await Promise.all(Array.from({ length: 50 }, () => families.rotate(family, 1, 60_000)));
      expect(answers.filter(({ outcome }) => outcome === 'rotated')).toHaveLength(1);
      expect(answers.filter(({ outcome }) => outcome === 'retried')).toHaveLength(49);
    });

    test('a family ends with its time', async () => {
      const { families, family } = await begun(50);
      await new Promise((resolve) => setTimeout(resolve, 100));
      expect(await families.rotate(family, 1, 60_000)).toEqual({ outcome: 'unknown' });
      expect(await families.rotate(randomUUID(), 1, 60_000)).toEqual({ outcome: 'unknown' });
    });
  });
}

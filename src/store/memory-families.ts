import { LRUCache } from 'lru-cache';
import { type Login, type RefreshFamilies, retryWindowMs } from '../credentials/refresh-families.ts';

interface Family {
  login: Login;
  generation: number;
  rotatedAt: number;
  until: number;
}

/** @param now milliseconds since the epoch */
export function memoryFamilies(now: () => number): RefreshFamilies {
  const families = new LRUCache<string, Family>({ max: 100_000 });
  return {
    async begin(family, login, ttlMs) {
      families.set(family, { login, generation: 1, rotatedAt: 0, until: now() + ttlMs });
    },
    async rotate(name, generation, ttlMs) {
      const family = families.get(name);
      if (!family || family.until <= now()) return { outcome: 'unknown' };
      const { login } = family;
      if (generation >= family.generation) {
        families.set(name, { login, generation: generation + 1, rotatedAt: now(), until: now() + ttlMs });
        return { outcome: 'rotated', login };
      }
      if (generation === family.generation - 1 && now() - family.rotatedAt <= retryWindowMs) {
        return { outcome: 'retried', login };
      }
      families.set(name, { ...family, generation: Number.POSITIVE_INFINITY });
      return { outcome: 'reused', login };
    },
    async end(family) {
      families.delete(family);
    },
  };
}

import { randomFillSync } from 'node:crypto';

/** Returns `size` unpredictable bytes. */
export type RandomBytes = (size: number) => Buffer;

/**
 * Unpredictable bytes, drawn from the system's generator 16 KiB at a time: a draw costs about the same whatever its size. No
 * byte is handed out twice, and what has been handed out is wiped.
 */
export function pooledRandomBytes(poolSize = 16 * 1024): RandomBytes {
  const pool = Buffer.allocUnsafeSlow(poolSize);
  let used = poolSize;
  return (size) => {
    if (size > poolSize) return randomFillSync(Buffer.alloc(size));
    if (used + size > poolSize) {
      randomFillSync(pool);
      used = 0;
    }
    const bytes = Buffer.from(pool.subarray(used, used + size));
    pool.fill(0, used, used + size);
    used += size;
    return bytes;
  };
}

import { defineConfig } from 'vitest/config';

// Where Debian keeps nginx and HAProxy, which is on the PATH of root only.
process.env['PATH'] += ':/usr/sbin';

const project = (name: string, testTimeout: number, options: object = {}) => ({
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    testTimeout,
    hookTimeout: 60_000,
    // A second, as vitest has it, is what a busy machine may keep another process from running.
    expect: { poll: { timeout: testTimeout / 2 } },
    ...options,
  },
});

export default defineConfig({
  test: {
    projects: [
      project('unit', 10_000),
      // Servers are started and stopped here: one file at a time, or two noisy cores decide what passes.
      project('integration', 20_000, { fileParallelism: false, globalSetup: 'test/support/redis.setup.ts' }),
      project('e2e', 60_000, { fileParallelism: false, globalSetup: 'test/support/redis.setup.ts' }),
      project('faults', 120_000, {
        include: [process.env['ALL_FAULTS'] ? 'test/faults/**/*.test.ts' : 'test/faults/*.test.ts'],
        fileParallelism: false,
        globalSetup: 'test/support/fault-table.ts',
      }),
    ],
  },
});

import { defineConfig } from 'vitest/config';

/** Apart from the other tests: it builds the images and runs the whole of docker-compose.yml. */
export default defineConfig({
  test: {
    name: 'compose',
    include: ['test/compose/**/*.test.ts'],
    // One stack at a time, or two cores decide what passes.
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 600_000,
  },
});

import { defineConfig } from 'vitest/config';

/** Apart from the other tests: it builds an image and runs the whole of docker-compose.yml. */
export default defineConfig({
  test: {
    name: 'compose',
    include: ['test/compose/**/*.test.ts'],
    testTimeout: 120_000,
    hookTimeout: 600_000,
  },
});

import { spawnSync } from 'node:child_process';
import { GenericContainer, getContainerRuntimeClient, type StartedTestContainer } from 'testcontainers';
import type { TestProject } from 'vitest/node';
import { startRedisServer } from './redis-server.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** A Redis for all files; each takes a key prefix of its own. */
    redisUrl: string;
  }
}

/** Finds the Redis that the tests share: the one we are told of, one in a container, or one on this machine. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const { url, where, stop } = await findRedis();
  console.log(`tests use Redis ${where}`);
  project.provide('redisUrl', url);
  return stop;
}

async function findRedis(): Promise<{ url: string; where: string; stop: () => Promise<void> }> {
  const { TEST_REDIS_URL } = process.env;
  if (TEST_REDIS_URL) return { url: TEST_REDIS_URL, where: 'at TEST_REDIS_URL', stop: async () => {} };

  const container = (await hasContainerRuntime()) && (await startContainer());
  if (container) {
    const url = `redis://${container.getHost()}:${container.getMappedPort(6379)}`;
    return { url, where: 'in a container', stop: async () => void (await container.stop()) };
  }
  if (spawnSync('redis-server', ['--version']).status === 0) {
    const server = await startRedisServer();
    return { url: server.url, where: 'from redis-server on PATH', stop: server.dispose };
  }
  throw new Error(
    "no Redis for the tests: set TEST_REDIS_URL, start a Docker engine, or run 'npm run test:install' for redis-server",
  );
}

async function hasContainerRuntime(): Promise<boolean> {
  try {
    await getContainerRuntimeClient();
    return true;
  } catch {
    return false;
  }
}

/** An engine that cannot fetch the image is as good as none; that is said, not hidden. */
async function startContainer(): Promise<StartedTestContainer | undefined> {
  try {
    return await new GenericContainer('redis:8-alpine').withExposedPorts(6379).start();
  } catch (error) {
    console.warn(
      `the Docker engine starts no Redis (${(error as Error).message}): trying redis-server on PATH`,
    );
    return undefined;
  }
}

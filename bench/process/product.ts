import { hash } from 'node:crypto';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { hashPassword } from '../../src/credentials/passwords.ts';
import { type Program, startProgram } from './program.ts';

export const origin = 'https://app.example.com';
export const serviceKey = 'a service key of the benchmark'.replaceAll(' ', '-');
export const jwtSecret = 'a secret of the benchmark that is long enough for HS256';
export const user = { username: 'alice', password: 'correct horse battery staple' };

/**
 * Starts the product as `npm start` does, with its defaults, and waits until it can serve. Nothing in `src` knows of it.
 *
 * @param env what differs from the defaults: REDIS_URL, limits
 */
export async function startProduct(
  name: string,
  folder: string,
  env: NodeJS.ProcessEnv = {},
): Promise<Program> {
  const files = await mkdtemp(join(folder, 'product-'));
  const usersFile = join(files, 'users');
  const keysFile = join(files, 'service-keys');
  await writeFile(usersFile, `${user.username}:${await hashPassword(user.password)}\n`);
  await writeFile(keysFile, `bench:${hash('sha256', serviceKey)}:tickets:mint,revoke,sessions:read\n`);
  const program = await startProgram({
    name,
    args: ['src/main.ts', 'serve'],
    folder,
    env: {
      JWT_SECRET: jwtSecret,
      USERS_FILE: usersFile,
      SERVICE_KEYS_FILE: keysFile,
      ALLOWED_ORIGINS: origin,
      ...env,
    },
  });
  try {
    await ready(program);
  } catch (error) {
    await program.stop();
    throw error;
  }
  return program;
}

async function ready({ name, port, lastWords }: Program): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    const { ok } = await fetch(`http://127.0.0.1:${port}/readyz`);
    if (ok) return;
    await sleep(50);
  }
  throw new Error(`${name} is not ready:\n${await lastWords()}`);
}

import type { Logger } from 'pino';
import { hashPassword } from '../credentials/passwords.ts';
import { demoName } from '../credentials/test-token.ts';
import type { Users } from '../credentials/users-file.ts';
import type { RandomBytes } from '../random.ts';

/** The one user of a process that was given none, with a password that nobody else knows. */
export async function demoUsers(randomBytes: RandomBytes): Promise<{ users: Users; password: string }> {
  const password = randomBytes(8).toString('hex');
  return { users: new Map([[demoName, await hashPassword(password)]]), password };
}

/** Says what to do next, on stderr: stdout is the log, and the log never holds a password. */
export function tellDemo(url: string, password: string): void {
  const at = url === 'http://127.0.0.1:8080' ? '' : ` --url ${url}`;
  console.error(`
  Nobody is configured who could log in, so there is a demo user until this process ends: ${demoName}, password ${password}
  See it work in a browser: ${url}/
  Or in another terminal, in this folder:

    TOKEN=$(echo ${password} | npx ticket-broker token ${demoName}${at})
    TICKET=$(npx ticket-broker ticket --token "$TOKEN"${at})
    npx ticket-broker connect "$TICKET"${at}

  Now the last line again: refused. A ticket opens one socket, once.
`);
}

/** Says what the demo lets in, in the log, at every start. */
export function warnOfDemo(log: Pick<Logger, 'warn'>, alone: boolean): void {
  const whom = `GET /test-token lets anyone who can reach this port in as ${demoName}`;
  log.warn(alone ? `DEMO is on: ${whom}` : `DEMO=on: ${whom}, into the room ${demoName}; not for production`);
}

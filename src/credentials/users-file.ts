import { isName } from './caller.ts';
import { FileFault, meaningfulLines } from './watched-file.ts';

export type Users = ReadonlyMap<string, string>;

const hint = "run 'ticket-broker users add NAME' for a strong hash";

/**
 * Reads htpasswd lines, `username:hash`. Every weak or broken one is refused, all at once, by line number: a file that is
 * half understood would lock some people out silently.
 *
 * @throws FileFault
 */
export function parseUsers(text: string): Users {
  const users = new Map<string, string>();
  const faults: string[] = [];
  for (const [number, line] of meaningfulLines(text)) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon);
    const hash = line.slice(colon + 1);
    const fault = colon < 0 ? 'is not username:hash' : (nameFault(name, users) ?? hashFault(hash));
    if (fault) faults.push(`line ${number} ${fault}`);
    else users.set(name, hash);
  }
  if (faults.length > 0) throw new FileFault(`${faults.join('; ')}: ${hint}`);
  return users;
}

function nameFault(name: string, users: Users): string | undefined {
  if (!isName(name)) return 'has a user name that is empty, too long or holds control characters';
  return users.has(name) ? 'repeats a user' : undefined;
}

/**
 * OWASP's password storage minimum: argon2id with 19 MiB and two passes, or bcrypt with cost 10. And a maximum, beyond which one
 * line would let any stranger stop the service.
 */
function hashFault(hash: string): string | undefined {
  const bcrypt = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/.exec(hash);
  if (bcrypt) return within(Number(bcrypt[1]), 10, 15) ? undefined : 'has a bcrypt cost other than 10 to 15';

  const argon =
    /^\$argon2id\$v=19\$m=(\d{1,10}),t=(\d{1,10}),p=(\d{1,10})\$([+/A-Za-z0-9]{11,86})\$([+/A-Za-z0-9]{22,86})$/.exec(
      hash,
    );
  if (argon) {
    // Nothing can be compared with it: a login would be answered 500.
    if (!argon.slice(4).every(isBase64))
      return 'has an argon2id hash of which characters are missing or changed';
    const [memory, passes, lanes] = argon.slice(1, 4).map(Number) as [number, number, number];
    return within(memory, 19 * 1024, 1024 * 1024) && within(passes, 2, 20) && within(lanes, 1, 16)
      ? undefined
      : 'has argon2id parameters other than m=19456 to 1048576, t=2 to 20, p=1 to 16';
  }
  return 'has neither an argon2id nor a bcrypt hash';
}

/** Whether it stands for whole bytes, as RFC 4648 4 writes them, without padding. */
function isBase64(text: string): boolean {
  return Buffer.from(text, 'base64').toString('base64').replace(/=+$/, '') === text;
}

function within(value: number, least: number, most: number): boolean {
  return value >= least && value <= most;
}

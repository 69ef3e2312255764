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

/** OWASP's password storage minimum: argon2id with 19 MiB and two passes, or bcrypt with cost 10. */
function hashFault(hash: string): string | undefined {
  const bcrypt = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/.exec(hash);
  if (bcrypt) return Number(bcrypt[1]) >= 10 ? undefined : 'has a bcrypt cost below 10';

  const argon = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=\d+\$[+/A-Za-z0-9]+\$[+/A-Za-z0-9]+$/.exec(hash);
  if (argon) {
    return Number(argon[1]) >= 19 * 1024 && Number(argon[2]) >= 2
      ? undefined
      : 'has argon2id parameters below m=19456,t=2';
  }
  return 'has neither an argon2id nor a bcrypt hash';
}

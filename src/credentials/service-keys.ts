import { hash, timingSafeEqual } from 'node:crypto';
import { isName, type Scope, type Service, scopes, type Verifier } from './caller.ts';
import { FileFault, meaningfulLines } from './watched-file.ts';

interface ServiceKey {
  digest: Buffer;
  service: Service;
}

/**
 * Reads lines of `name:<SHA-256 of the key, hex>:<scope>[,<scope>…]`.
 *
 * @throws FileFault naming every line that is wrong
 */
export function parseServiceKeys(text: string): ServiceKey[] {
  const keys: ServiceKey[] = [];
  const faults: string[] = [];
  for (const [number, line] of meaningfulLines(text)) {
    // A scope has colons of its own.
    const [, name, digest = '', scopeList = ''] = /^([^:]+):([^:]*):?(.*)$/.exec(line) ?? [];
    const listed = scopeList.split(',').map((scope) => scope.trim());
    if (!isName(name)) faults.push(`line ${number} is not name:sha256:scopes`);
    else if (!/^[0-9a-f]{64}$/i.test(digest)) faults.push(`line ${number} has no SHA-256 in hex`);
    else if (!listed.every(isScope))
      faults.push(`line ${number} has a scope other than ${scopes.join(', ')}`);
    else if (keys.some(({ service }) => service.name === name)) faults.push(`line ${number} repeats a name`);
    else {
      keys.push({
        digest: Buffer.from(digest, 'hex'),
        service: { kind: 'service', name, scopes: new Set(listed) },
      });
    }
  }
  if (faults.length > 0) throw new FileFault(faults.join('; '));
  return keys;
}

/** Every key is compared, in constant time, so that the time tells nothing of which one matched. */
export function serviceKeyVerifier(keys: () => readonly ServiceKey[]): Verifier {
  return async (credential) => {
    const presented = hash('sha256', credential, 'buffer');
    let found: Service | undefined;
    for (const { digest, service } of keys()) if (timingSafeEqual(digest, presented)) found = service;
    return found;
  };
}

function isScope(text: string): text is Scope {
  return (scopes as readonly string[]).includes(text);
}

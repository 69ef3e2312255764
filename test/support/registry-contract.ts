import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ListedSession, Registry } from '../../src/sessions/registry.ts';

/** What every registry driver does. `open` is given the name of the node, and joins the same registry each time. */
export function registryContract(driver: string, open: (node: string) => Promise<Registry>): void {
  describe(`${driver} registry`, () => {
    const node = `node-${randomUUID()}`;
    let registry: Registry;
    beforeAll(async () => {
      registry = await open(node);
    });
    afterAll(() => registry.close());

    let clock = Date.now() / 1000;
    const aSession = (sub: string): ListedSession => ({
      session_id: randomUUID(),
      sub,
      username: sub,
      node,
      ip: '192.0.2.1',
      since: clock++,
      exp: clock + 3600,
      auth_time: clock - 10,
      via: 'ws',
    });

    test('lists a subject’s sessions, oldest first, and nobody else’s', async () => {
      const sub = `alice:{x}:${randomUUID()}`;
      const [first, second] = [aSession(sub), aSession(sub)];
      await registry.add(first);
      expect(await registry.ofSubject(sub)).toEqual([first]);
      await registry.add(second);
      await registry.add(aSession('bob'));
      expect(await registry.ofSubject(sub)).toEqual([first, second]);
      await registry.remove(first);
      expect(await registry.ofSubject(sub)).toEqual([second]);
    });

    test('finds one by its name', async () => {
      const session = aSession('carol');
      await registry.add(session);
      expect(await registry.find(session.session_id)).toEqual(session);
      expect(await registry.find('nobody')).toBeUndefined();
    });

    test('does not list what is past its end', async () => {
      const over = { ...aSession('dave'), exp: Date.now() / 1000 - 1 };
      await registry.add(over);
      expect(await registry.ofSubject('dave')).toEqual([]);
      expect(await registry.find(over.session_id)).toBeUndefined();
      expect(await listed(registry)).not.toContain(over.session_id);
    });

    test('lists all, a page at a time', async () => {
      const added = Array.from({ length: 500 }, () => aSession(`user-${randomUUID()}`));
      await Promise.all(added.map((session) => registry.add(session)));
      const all = new Set(await listed(registry));
      for (const { session_id } of added) expect(all.has(session_id)).toBe(true);
    });
  });
}

/** The names of all sessions, of all pages. */
export async function listed(registry: Registry): Promise<string[]> {
  const names: string[] = [];
  let cursor: string | undefined;
  do {
    const page = await registry.page(cursor);
    names.push(...page.sessions.map(({ session_id }) => session_id));
    cursor = page.cursor;
  } while (cursor !== undefined);
  return names;
}

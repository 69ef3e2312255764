import { expect } from 'vitest';
import { type Contender, type ContenderName, contend } from './contenders.ts';
import { report } from './fault-table.ts';
import { until } from './redis-topologies.ts';

export interface DoubleUse {
  fault: string;
  /** Where the tickets are minted and used. */
  url: string;
  tickets?: number;
  contenders?: readonly ContenderName[];
  /** After the mint: what makes the fault forget what follows. */
  prepare?: () => Promise<void>;
  /** After the tickets have been used. Answers where they are presented again, if elsewhere. */
  strike: () => Promise<string | undefined>;
  /** Contenders that the fault must fool, or the scenario shows nothing. */
  fooled: readonly ContenderName[];
}

const defaults: readonly ContenderName[] = ['product', 'bare GETDEL', 'run_id'];

/**
 * Uses tickets, lets a fault strike, and presents them all again. The product must open none of them, the named controls
 * must open some, and fresh tickets must work afterwards.
 */
export async function doubleUse(options: DoubleUse): Promise<void> {
  const { fault, url, tickets = 200, contenders = defaults, prepare, strike, fooled } = options;
  const at = contenders.map((name) => contend(name, url));
  let again: Contender[] = at;
  try {
    await Promise.all(at.map(works));
    const used = new Map<ContenderName, string[]>();
    for (const contender of at) {
      used.set(contender.name, await Promise.all(Array.from({ length: tickets }, () => contender.mint())));
    }
    await prepare?.();
    for (const contender of at) {
      const first = await Promise.all((used.get(contender.name) ?? []).map((id) => contender.redeem(id)));
      expect(tally(first), `${contender.name}, first use`).toEqual({ opened: tickets });
    }

    const elsewhere = await strike();
    if (elsewhere !== undefined) again = contenders.map((name) => contend(name, elsewhere));
    await Promise.all(again.map(works));

    const doubles: Partial<Record<ContenderName, string>> = {};
    let refusals: Record<string, number> = {};
    for (const contender of again) {
      const second = await Promise.all((used.get(contender.name) ?? []).map((id) => contender.redeem(id)));
      const { opened = 0, ...refused } = tally(second);
      doubles[contender.name] = `${opened}/${tickets}`;
      if (contender.name === 'product') refusals = refused;
      if (fooled.includes(contender.name)) expect(opened, contender.name).toBeGreaterThan(0);
    }
    const fresh = await freshTickets(again);
    report({ fault, doubles, refusals, fresh });

    expect(doubles.product).toBe(`0/${tickets}`);
    // A ticket that is not there any more proves nothing: the fault has to have brought it back.
    expect((refusals['fenced'] ?? 0) + (refusals['used'] ?? 0), 'fenced or used').toBe(tickets);
    expect(fresh).toBe(100);
  } finally {
    for (const contender of new Set([...at, ...again])) await contender.close();
  }
}

/** How many of a hundred fresh tickets of the product open. */
export async function freshTickets(contenders: readonly Contender[]): Promise<number> {
  const product = contenders.find(({ name }) => name === 'product');
  if (!product) throw new Error('no product');
  const ids = await Promise.all(Array.from({ length: 100 }, () => product.mint()));
  const answers = await Promise.all(ids.map((id) => product.redeem(id)));
  return tally(answers)['opened'] ?? 0;
}

/** Resolves when the contender works, on every primary there is. */
export async function works(contender: Contender): Promise<void> {
  await until(`${contender.name} to work`, async () => {
    const ids = await Promise.all(Array.from({ length: 64 }, () => contender.mint()));
    const answers = await Promise.all(ids.map((id) => contender.redeem(id)));
    return answers.every((answer) => answer === 'opened');
  });
}

export function tally(answers: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const answer of answers) counts[answer] = (counts[answer] ?? 0) + 1;
  return counts;
}

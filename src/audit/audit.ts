import type { Facts, SessionEnd } from '../decisions.ts';

/** Where every decision is kept, a line of `AuditLine` each. Decisions call it; nobody else has to. */
export interface Audit {
  decided(decision: Facts & { granted: boolean; reason: string }): void;
  ended(end: SessionEnd): void;
}

export interface AuditOptions {
  /** Takes a line with its line break. */
  write: (line: string) => void;
  /** The name of this process. */
  node: string;
  /** Milliseconds since the epoch. */
  now: () => number;
}

export function openAudit({ write, node, now }: AuditOptions): Audit {
  const enter = (event: string, about: object) => {
    const time = new Date(now()).toISOString();
    write(`${JSON.stringify({ time, event, node, ...about })}\n`);
  };
  return {
    decided: ({ decision, ...about }) => enter(decision, about),
    ended: (end) => enter('session_end', end),
  };
}

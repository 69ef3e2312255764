/**
 * - `fault`: something is broken, or open that must be closed.
 * - `warning`: it works, and may not when it matters.
 * - `notice`: worth knowing.
 * - `skipped`: could not be looked at; `says` tells why.
 */
export const severities = ['fault', 'warning', 'notice', 'skipped', 'ok'] as const;
export type Severity = (typeof severities)[number];

/** What a check has found, for people, without any secret. */
export interface Finding {
  /** Names the check; stable, for scripts. */
  id: string;
  severity: Severity;
  /** What is wrong, in one sentence; else what has been seen, or why nothing has. */
  says: string;
  /** What to do about it, in one sentence. */
  todo?: string;
}

export const ok = (id: string, says: string): Finding => ({ id, severity: 'ok', says });
export const skipped = (id: string, says: string): Finding => ({ id, severity: 'skipped', says });
export const notice = (id: string, says: string, todo: string): Finding => ({
  id,
  severity: 'notice',
  says,
  todo,
});
export const warning = (id: string, says: string, todo: string): Finding => ({
  id,
  severity: 'warning',
  says,
  todo,
});
/** @param reason a kind of failure, no driver's text */
export const redisStopped = (id: string, reason: string): Finding =>
  fault(id, `Redis stopped answering: ${reason}.`, 'See its log, and its load.');
export const fault = (id: string, says: string, todo: string): Finding => ({
  id,
  severity: 'fault',
  says,
  todo,
});

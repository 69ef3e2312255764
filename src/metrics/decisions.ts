import { Counter, type Registry } from '@prometheus-io/client';
import type { Facts } from '../decisions.ts';
import type { LimitName } from '../http/limits.ts';

/** The limit that a refusal's reason speaks of. What the demo page asks is no decision. */
const limits = {
  attempt_limit: 'attempts',
  login_address_limit: 'login',
  login_name_limit: 'login',
  test_token_address_limit: 'login',
  mint_address_limit: 'mint',
  mint_subject_limit: 'mint',
  refresh_address_limit: 'refresh',
  end_subject_limit: 'login',
} as const satisfies Record<`${Exclude<LimitName, 'demo_address'> | 'attempt'}_limit`, string>;

/** Counts each decision, and once more as what it was about. */
export function decisionCounters(registers: Registry[]) {
  const counter = <Label extends string>(name: string, help: string, ...labelNames: Label[]) =>
    new Counter({ name: `ticket_broker_${name}_total`, help, labelNames, registers });

  const decisions = counter(
    'decisions',
    'Logins, mints, redemptions and revocations by their outcome; a used ticket that came back has reason "replayed".',
    'decision',
    'granted',
    'reason',
  );
  const issued = counter(
    'tickets_issued',
    'Tickets minted, for a user or on behalf of one by a service.',
    'by',
  );
  const redemptions = counter(
    'redemptions',
    'Tickets and tokens presented, by the way they came and what became of them.',
    'transport',
    'result',
  );
  const replays = counter('replays', 'Used tickets that came back.');
  const limited = counter('rate_limited', 'Requests refused because a limit was reached.', 'limit');
  const revocations = counter(
    'revocations',
    'Revocations made by this process, by what they name.',
    'target',
  );

  // Seen at 0, so that the first one counts as an increase.
  for (const by of ['user', 'service']) issued.inc({ by }, 0);
  for (const limit of new Set(Object.values(limits))) limited.inc({ limit }, 0);
  for (const target of ['sub', 'session_id', 'ticket_id']) revocations.inc({ target }, 0);

  return (facts: Facts, granted: boolean, reason: string): void => {
    const { decision, via = 'ws', key, target } = facts;
    decisions.inc({ decision, granted: String(granted), reason });
    if (decision === 'redeem') redemptions.inc({ transport: via, result: reason });
    if (granted) {
      if (decision === 'mint') issued.inc({ by: key === undefined ? 'user' : 'service' });
      if (decision === 'revoke' && target && (reason === 'ok' || reason === 'revoked'))
        revocations.inc({ target });
      return;
    }
    if (reason === 'replayed') replays.inc();
    if (isLimit(reason)) limited.inc({ limit: limits[reason] });
  };
}

function isLimit(reason: string): reason is keyof typeof limits {
  return Object.hasOwn(limits, reason);
}

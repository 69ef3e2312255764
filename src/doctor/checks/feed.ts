import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { createParser } from 'eventsource-parser';
import { saysCurrent } from '../../revocations/event-stream.ts';
import { newSessionId } from '../../tickets/ticket.ts';
import type { ClockSample } from '../clocks.ts';
import { type Door, Unreachable } from '../door.ts';
import { type Finding, fault, ok, skipped, warning } from '../finding.ts';
import type { Credential } from '../probe-ticket.ts';

const id = 'feed';
/** Milliseconds that a revocation may take; and after which it is not waited for any more. */
const quick = 1000;
const patience = 5000;

/** Revokes a session that nobody has, and sees it come along the feed: from another node, where there are several. */
export async function checkFeed(
  door: Door,
  { authorization }: Credential,
  aheadMs: number,
): Promise<{ finding: Finding; clock?: ClockSample }> {
  const headers = { authorization, accept: 'text/event-stream' };
  const stream = await door.open('/revocations', { headers, patience }).catch((error: unknown) => {
    if (error instanceof Unreachable) return error;
    throw error;
  });
  if (stream instanceof Unreachable) return { finding: held(`does not begin: ${stream.reason}`) };
  if (stream.statusCode !== 200) {
    stream.destroy();
    const { statusCode: status } = stream;
    if (status === 503) {
      return {
        finding: fault(
          id,
          'A node does not follow the revocations (503), and admits nobody.',
          'See what is said of Redis here.',
        ),
      };
    }
    return { finding: skipped(id, `The key may not read the feed (${status}).`) };
  }
  const session_id = newSessionId(randomBytes);
  const { caughtUp, arrival } = follow(stream, session_id);
  try {
    if (!(await caughtUp)) {
      return { finding: held('does not say within 5 s that it is current') };
    }
    const asked = Date.now();
    const { status } = await door.ask('/revocations', {
      method: 'POST',
      headers: { authorization, 'content-type': 'application/json' },
      body: JSON.stringify({ session_id, reason: 'ticket-broker doctor' }),
    });
    if (status === 403) return { finding: skipped(id, 'The key does not revoke.') };
    if (status !== 200) {
      return {
        finding: fault(
          id,
          `A revocation is answered ${status}.`,
          'See what is said of Redis and its replicas here.',
        ),
      };
    }
    const arrived = await arrival;
    if (!arrived) {
      return {
        finding: fault(
          id,
          'A revocation has not come along the feed within 5 s: sockets stay open that must close.',
          'See /readyz of all nodes, and that the proxy does not buffer the feed.',
        ),
      };
    }
    const tookMs = arrived.heardAt - asked;
    const clock = {
      of: 'the node that revoked',
      said: arrived.at * 1000,
      coarseness: 1,
      between: [asked + aheadMs, arrived.heardAt + aheadMs] as const,
    };
    return { finding: judge(tookMs), clock };
  } finally {
    stream.destroy();
  }
}

function held(what: string): Finding {
  return fault(
    id,
    `The feed ${what}.`,
    'See that the proxy passes server-sent events on as they come, unbuffered.',
  );
}

function judge(tookMs: number): Finding {
  const took = `A revocation came along the feed after ${Math.round(tookMs)} ms`;
  if (tookMs <= quick) return ok(id, `${took}.`);
  return warning(
    id,
    `${took}: so long do sockets stay open.`,
    'See the load of the nodes and of Redis, and the network between them.',
  );
}

interface Arrival {
  /** By the clock of the node that revoked: Unix seconds. */
  at: number;
  /** By ours: Unix milliseconds. */
  heardAt: number;
}

/** Both settle within `patience`; an undefined arrival: it has not come. */
function follow(stream: IncomingMessage, session_id: string) {
  const caughtUp = Promise.withResolvers<boolean>();
  const arrival = Promise.withResolvers<Arrival | undefined>();
  const parser = createParser({
    onComment: (comment) => saysCurrent(comment) && caughtUp.resolve(true),
    onEvent({ event, data }) {
      if (event !== 'revocation') return;
      const revocation = JSON.parse(data) as { session_id?: string; at: number };
      if (revocation.session_id === session_id) arrival.resolve({ at: revocation.at, heardAt: Date.now() });
    },
  });
  const end = () => {
    caughtUp.resolve(false);
    arrival.resolve(undefined);
  };
  const late = setTimeout(() => caughtUp.resolve(false), patience);
  void caughtUp.promise.then(() => {
    clearTimeout(late);
    setTimeout(() => arrival.resolve(undefined), patience).unref();
  });
  stream.setEncoding('utf8').on('data', (text: string) => parser.feed(text));
  stream.on('error', end).on('close', end);
  return { caughtUp: caughtUp.promise, arrival: arrival.promise };
}

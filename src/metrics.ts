import { Counter, collectDefaultMetrics, Gauge, Registry } from '@prometheus-io/client';

/** What operators watch. No label takes a value that a client can choose. */
export interface Metrics {
  decided(decision: string, granted: boolean, reason: string): void;
  socketOpened(): void;
  /** @param code RFC 6455 7.4 */
  socketClosed(code: number): void;
  /** The Prometheus text format, and its content type. */
  text(): Promise<string>;
  readonly contentType: string;
}

/** @param ofProcess also what Node tells of itself, which costs something all the time */
export function createMetrics({ ofProcess = false } = {}): Metrics {
  const registry = new Registry();
  const registers = [registry];
  if (ofProcess) collectDefaultMetrics({ register: registry });

  const decisions = new Counter({
    name: 'ticket_broker_decisions_total',
    help: 'Logins, mints, redemptions and revocations by their outcome; a used ticket that came back has reason "replayed".',
    labelNames: ['decision', 'granted', 'reason'],
    registers,
  });
  const open = new Gauge({
    name: 'ticket_broker_sockets_open',
    help: 'Admitted sockets of this process.',
    registers,
  });
  const closes = new Counter({
    name: 'ticket_broker_sockets_closed_total',
    help: 'Admitted sockets that closed, by close code.',
    labelNames: ['code'],
    registers,
  });

  return {
    decided: (decision, granted, reason) => decisions.inc({ decision, granted: String(granted), reason }),
    socketOpened: () => open.inc(),
    socketClosed(code) {
      open.dec();
      // A peer may close with any code of the private range.
      closes.inc({ code: code >= 3000 && ![3000, 3003, 3008].includes(code) ? 'other' : String(code) });
    },
    text: () => registry.metrics(),
    contentType: registry.contentType,
  };
}

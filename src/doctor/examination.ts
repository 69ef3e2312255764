import type { Config } from '../config.ts';
import type { Inspection } from '../store/inspection.ts';
import type { ClockSample } from './clocks.ts';
import type { Credential } from './probe-ticket.ts';

/** What is to be looked at. */
export interface Examination {
  /** That of `serve`. */
  env: NodeJS.ProcessEnv;
  /** Where visitors come in. */
  url: URL | undefined;
  /** Nodes that are asked besides, each at all addresses of its name. */
  nodes: readonly URL[];
  /** Of the WebSocket; undefined: as the environment says. */
  path: string | undefined;
  /** PEM of the authority that is to be trusted instead of those that Node trusts. */
  ca: string | undefined;
  /** Go on though a certificate is not trusted. */
  insecure: boolean;
  credential: Credential | undefined;
  /** A file that the proxy logs to. */
  proxyLog: string | undefined;
  /** Told what is being looked at. */
  doing: (what: string) => void;
  /** Milliseconds since the epoch. */
  now: () => number;
}

/** What is known when the nodes are looked at. */
export interface Known {
  config: Config | undefined;
  /** Where it can be used. */
  redis: Inspection | undefined;
  /** Milliseconds that Redis' clock is ahead of ours. */
  aheadMs: number;
  /** What clocks have said so far; added to. */
  clocks: ClockSample[];
}

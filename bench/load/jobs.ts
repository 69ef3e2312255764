/** Upgrades that are opened, answered, and closed again by the client's close frame. */
export interface UpgradeJob {
  /** Taken in turn, one for each connection. */
  ports: readonly number[];
  /** Path and query of each handshake. */
  targets: readonly string[];
  origin: string;
  concurrency: number;
  /** Loopback addresses that the clients come from. */
  sources: number;
}

/** Requests over connections that are kept alive. */
export interface RequestJob {
  port: number;
  connections: number;
  /** Each as it goes over the wire, sent once. */
  requests: readonly string[];
  /** The status that every answer must have. */
  status: number;
  /** Answers with the bodies, in the requests' order. */
  collect?: boolean;
}

/** Tickets in Redis without a broker: the product's store, or bare SET and GETDEL. */
export interface RedisJob {
  url: string;
  keeper: 'product' | 'bare';
  /** `take` redeems random ones of those that were put; `forget`: there are none any more. */
  operation: 'put' | 'take' | 'forget';
  count: number;
  concurrency: number;
  rooms?: readonly string[];
}

/** Sockets that are opened and held. */
export interface OpenJob {
  port: number;
  targets: readonly string[];
  origin: string;
  concurrency: number;
  /** A name by which they can be revoked together. */
  group: string;
}

export interface FanOutJob {
  port: number;
  /** The revocation, as it goes over the wire. */
  request: string;
  group: string;
  /** What the sockets must be closed with. */
  code: number;
}

/** Milliseconds after the request was sent. */
export interface FanOut {
  answeredMs: number;
  /** The last socket's close frame arrived. */
  closedMs: number;
}

/** Clients that lose their sockets and come back through mint and upgrade. */
export interface StormJob {
  /** Taken in turn, one for each client. */
  ports: readonly number[];
  /** One for each client. */
  tokens: readonly string[];
  /** Loopback addresses that they are spread over. */
  addresses: number;
}

/** What honest clients were told instead of being let in. */
export interface Refusals {
  limited: number;
  unavailable: number;
  /** Connections that ended without an answer. */
  lost: number;
}

/** What a job took. Latencies in milliseconds; CPU time of the generator itself in microseconds. */
export interface LoadReport {
  operations: number;
  wallMs: number;
  cpuUs: number;
  p50: number;
  p99: number;
}

export interface ComingBack extends LoadReport, Refusals {
  /** Clients that have an open socket afterwards. */
  held: number;
}

export interface Jobs {
  upgrade: UpgradeJob;
  request: RequestJob;
  redis: RedisJob;
  open: OpenJob;
  drop: object;
  fanOut: FanOutJob;
  gather: StormJob;
  churn: { count: number; concurrency: number };
  storm: object;
  disperse: object;
}

export interface Answers {
  upgrade: LoadReport;
  request: LoadReport & { bodies: string[] };
  redis: LoadReport;
  open: LoadReport;
  drop: undefined;
  fanOut: FanOut;
  gather: undefined;
  churn: ComingBack;
  storm: ComingBack;
  disperse: undefined;
}

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

/** What a job took. Latencies in milliseconds; CPU time of the generator itself in microseconds. */
export interface LoadReport {
  operations: number;
  wallMs: number;
  cpuUs: number;
  p50: number;
  p99: number;
}

export interface Jobs {
  upgrade: UpgradeJob;
  request: RequestJob;
}

export interface Answers {
  upgrade: LoadReport;
  request: LoadReport & { bodies: string[] };
}

/** How much of everything is done: enough for steady numbers, or just enough to see that it works. */
export interface Sizes {
  rounds: number;
  warmUps: number;
  /** Operations of one contender in one round. */
  operations: number;
  /** Connections at a time. */
  concurrency: number;
  logins: number;
  /** Clients that come one at a time. */
  lonelyClients: number;
  /** Commands of one kind in one round, straight to Redis. */
  redisOperations: number;
  /** Tickets outstanding when there are many, and when there are few. */
  many: number;
  few: number;
  /** Live sockets, growing; the last one is lowered to what the system lets a process open. */
  sockets: readonly number[];
  /** Sockets of the subjects that are revoked. */
  revoked: readonly number[];
  /** Times that the storm breaks. */
  storms: number;
  /** Clients that come back one after another, to see how fast that goes. */
  churn: number;
  /** Sockets that are live while brokers are compared in number. */
  scaling: number;
}

export const full: Sizes = {
  rounds: 7,
  // What is compiled late is compiled by then.
  warmUps: 6,
  operations: 2000,
  concurrency: 64,
  logins: 20,
  lonelyClients: 50,
  redisOperations: 20_000,
  many: 1_000_000,
  few: 1000,
  sockets: [1000, 5000, 10_000, 20_000],
  revoked: [1, 100, 1000],
  storms: 3,
  churn: 5000,
  scaling: 2000,
};

export const quick: Sizes = {
  rounds: 1,
  warmUps: 0,
  operations: 100,
  concurrency: 16,
  logins: 2,
  lonelyClients: 3,
  redisOperations: 500,
  many: 2000,
  few: 100,
  sockets: [100, 300],
  revoked: [1, 10],
  storms: 1,
  churn: 100,
  scaling: 100,
};

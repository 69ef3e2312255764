/** How much of everything is done: enough for steady numbers, or just enough to see that it works. */
export interface Sizes {
  rounds: number;
  warmUps: number;
  /** Operations of one contender in one round. */
  operations: number;
  /** Connections at a time. */
  concurrency: number;
  logins: number;
}

export const full: Sizes = {
  rounds: 9,
  warmUps: 2,
  operations: 2000,
  concurrency: 64,
  logins: 20,
};

export const quick: Sizes = {
  rounds: 1,
  warmUps: 0,
  operations: 100,
  concurrency: 16,
  logins: 2,
};

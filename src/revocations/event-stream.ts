import type { FeedEntry } from './feed.ts';

/** Milliseconds between two signs of life. */
export const heartbeatMs = 1000;
/** The comment that says that all there was has been sent. */
const caughtUp = 'current';

/** The feed as server-sent events: both ends of it. */
export function eventOf({ cursor, revocation }: FeedEntry): string {
  return `id: ${cursor}\nevent: revocation\ndata: ${JSON.stringify(revocation)}\n\n`;
}

export function heartbeat(current: boolean): string {
  return current ? `: ${caughtUp}\n\n` : ':\n\n';
}

export function saysCurrent(comment: string): boolean {
  return comment.trim() === caughtUp;
}

import { setTimeout as sleep } from 'node:timers/promises';
import { loopLoad } from './loop-load.ts';

interface Waiting<Call, Answer> {
  call: Call;
  resolve: (answer: Answer) => void;
  reject: (error: unknown) => void;
}

/** How many calls go together at most, so that no one script keeps Redis from others for long. */
const most = 64;

export interface Spacing {
  /** Milliseconds from one sending to the next, while there is no time to answer each call for itself. */
  ms: number;
  /** Whether there is none. */
  isShort: () => boolean;
}

/** One look at the loop for all that is gathered. */
const whenShortOfTime: Spacing = { ms: 4, isShort: loopLoad() };

/**
 * Gathers calls and sends them together: under load, many tickets share one command, one reply, one look at the tenure, and
 * one turn of the event loop to be let in, which nearly halves what an upgrade costs. As Nagle's algorithm does (RFC 896), a
 * call that comes alone goes at once, with all that the same turn brings, and what comes while an answer is under way waits
 * for that. While the process is short of time, the next ones also wait for the spacing to pass.
 *
 * @param send carries out all calls of one group and answers in their order. When it fails, all of them have failed, and those
 *   that were waiting for it fail with it, unsent: nobody waits for two deadlines.
 */
export function gathering<Call, Answer>(
  send: (group: string, calls: Call[]) => Promise<Answer[]>,
  spacing = whenShortOfTime,
) {
  const groups = new Map<string, Gathering<Call, Answer>>();
  return (group: string, call: Call): Promise<Answer> => {
    let gathered = groups.get(group);
    if (!gathered) {
      gathered = new Gathering(
        (calls) => send(group, calls),
        spacing,
        () => groups.delete(group),
      );
      groups.set(group, gathered);
    }
    return gathered.add(call);
  };
}

class Gathering<Call, Answer> {
  readonly #send: (calls: Call[]) => Promise<Answer[]>;
  readonly #spacing: Spacing;
  readonly #onIdle: () => void;
  #waiting: Waiting<Call, Answer>[] = [];
  /** A sending is decided on, or under way. */
  #held = false;

  constructor(send: (calls: Call[]) => Promise<Answer[]>, spacing: Spacing, onIdle: () => void) {
    this.#send = send;
    this.#spacing = spacing;
    this.#onIdle = onIdle;
  }

  add(call: Call): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ call, resolve, reject });
      if (!this.#held) {
        this.#held = true;
        setImmediate(() => void this.#flush());
      } else if (this.#waiting.length === most) void this.#sendWaiting();
    });
  }

  async #flush(): Promise<void> {
    while (this.#waiting.length > 0) {
      const spaced = this.#spacing.isShort() ? sleep(this.#spacing.ms) : undefined;
      await this.#sendWaiting();
      await spaced;
    }
    this.#held = false;
    this.#onIdle();
  }

  async #sendWaiting(): Promise<void> {
    const sent = this.#waiting;
    this.#waiting = [];
    try {
      const answers = await this.#send(sent.map(({ call }) => call));
      for (const [index, { resolve }] of sent.entries()) resolve(answers[index] as Answer);
    } catch (error) {
      for (const { reject } of sent) reject(error);
      for (const { reject } of this.#waiting.splice(0)) reject(error);
    }
  }
}

export interface GatheringOptions {
  /** How many calls go together at most, so that no one script keeps Redis from others for long. */
  most?: number;
  /** Milliseconds between two sendings of a group, at least. */
  pauseMs?: number;
}

interface Waiting<Call, Answer> {
  call: Call;
  resolve: (answer: Answer) => void;
  reject: (error: unknown) => void;
}

/**
 * Gathers calls and sends them together: under load, many tickets share one command, one reply and one look at the tenure. As
 * Nagle's algorithm does (RFC 896), a call that comes alone goes at once, with all that the same turn of the event loop
 * brings, and what comes while an answer is under way waits for that.
 *
 * @param send carries out all calls of one group and answers in their order. When it fails, all of them have failed, and those
 *   that were waiting for it fail with it, unsent: nobody waits for two deadlines.
 */
export function gathering<Call, Answer>(
  send: (group: string, calls: Call[]) => Promise<Answer[]>,
  { most = 64, pauseMs = 0 }: GatheringOptions = {},
) {
  const groups = new Map<string, Gathering<Call, Answer>>();
  return (group: string, call: Call): Promise<Answer> => {
    let gathered = groups.get(group);
    if (!gathered) {
      gathered = new Gathering(
        (calls) => send(group, calls),
        most,
        pauseMs,
        () => groups.delete(group),
      );
      groups.set(group, gathered);
    }
    return gathered.add(call);
  };
}

class Gathering<Call, Answer> {
  readonly #send: (calls: Call[]) => Promise<Answer[]>;
  readonly #most: number;
  readonly #pauseMs: number;
  readonly #onIdle: () => void;
  #waiting: Waiting<Call, Answer>[] = [];
  /** A sending is decided on, under way, or not long enough ago. */
  #held = false;

  constructor(send: (calls: Call[]) => Promise<Answer[]>, most: number, pauseMs: number, onIdle: () => void) {
    this.#send = send;
    this.#most = most;
    this.#pauseMs = pauseMs;
    this.#onIdle = onIdle;
  }

  add(call: Call): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ call, resolve, reject });
      if (!this.#held) {
        this.#held = true;
        setImmediate(() => void this.#flush());
      } else if (this.#waiting.length === this.#most) void this.#sendWaiting();
    });
  }

  async #flush(): Promise<void> {
    while (this.#waiting.length > 0) {
      const paused = this.#pauseMs > 0 && new Promise((resolve) => setTimeout(resolve, this.#pauseMs));
      await this.#sendWaiting();
      await paused;
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

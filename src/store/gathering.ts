interface Waiting<Call, Answer> {
  call: Call;
  resolve: (answer: Answer) => void;
  reject: (error: unknown) => void;
}

/** How many calls go together at most, so that no one script keeps Redis from others for long. */
const most = 64;

/**
 * Gathers the calls that are made in one turn of the event loop and sends them together: under load, many tickets share one
 * command, one reply and one look at the tenure. A call that is alone goes alone, and none waits for a later turn.
 *
 * @param send carries out all calls of one group and answers in their order; when it fails, all of them have failed
 */
export function gathering<Call, Answer>(send: (group: string, calls: Call[]) => Promise<Answer[]>) {
  const groups = new Map<string, Waiting<Call, Answer>[]>();

  const flush = (group: string) => {
    const waiting = groups.get(group);
    if (!waiting) return;
    groups.delete(group);
    const calls = waiting.map(({ call }) => call);
    send(group, calls).then(
      (answers) => waiting.forEach(({ resolve }, index) => void resolve(answers[index] as Answer)),
      (error: unknown) => waiting.forEach(({ reject }) => void reject(error)),
    );
  };

  return (group: string, call: Call): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const waiting = groups.get(group);
      if (!waiting) {
        groups.set(group, [{ call, resolve, reject }]);
        // After all that this turn's sockets have said, and before the next turn.
        setImmediate(flush, group);
        return;
      }
      waiting.push({ call, resolve, reject });
      if (waiting.length === most) flush(group);
    });
}

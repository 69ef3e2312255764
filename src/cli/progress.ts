export interface Progress extends Disposable {
  /** Makes room for other output. */
  hide(): void;
}

/** Milliseconds after which people want to know, and those between two lines where none can be written over. */
const silentFor = 1000;
const lineEvery = 10_000;

/**
 * Says on stderr what is being done, once it has taken a second, until it is disposed of: one line, which is written over
 * where stderr is a terminal.
 */
export function progress(doing: () => string): Progress {
  const { stderr } = process;
  const began = performance.now();
  let shown = 0;
  let saidAt = Number.NEGATIVE_INFINITY;

  const hide = () => {
    if (stderr.isTTY && shown > 0) stderr.write('\r\x1b[K');
    shown = 0;
  };
  const tick = () => {
    const now = performance.now();
    if (!stderr.isTTY && now - saidAt < lineEvery) return;
    hide();
    const line = `${doing()} (${Math.round((now - began) / 1000)} s)`;
    stderr.write(stderr.isTTY ? line.slice(0, (stderr.columns || 80) - 1) : `${line}\n`);
    shown = line.length;
    saidAt = now;
  };
  const timer = setInterval(tick, silentFor).unref();
  return {
    hide,
    [Symbol.dispose]() {
      clearInterval(timer);
      hide();
    },
  };
}

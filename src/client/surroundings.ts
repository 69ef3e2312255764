/** What a page has, a worker in part, and Node not at all. */
interface Surroundings {
  location?: { href: string };
  navigator?: { onLine?: boolean };
  document?: EventTarget & { visibilityState: string };
  addEventListener?: (type: string, listener: () => void) => void;
  removeEventListener?: (type: string, listener: () => void) => void;
}

const surroundings = globalThis as unknown as Surroundings;

/** Milliseconds between two looks at the clock. */
const lookEvery = 5000;
/**
 * Milliseconds between two looks after which the machine must have slept. Browsers run a hidden page's timers once a minute
 * at the rarest; a broker drops a peer that has not answered its pings for 60 s.
 */
const asleepAfter = 75_000;

export interface SurroundingsListener {
  /** The page is looked at again, or there is a network again. */
  onWake: () => void;
  /** Time has passed without us: whatever was open is gone, though nobody has said so. */
  onSlept: () => void;
  onOffline: () => void;
}

/** Follows what happens to the page and to its machine. @returns what stops that */
export function watchSurroundings({ onWake, onSlept, onOffline }: SurroundingsListener): () => void {
  const { document } = surroundings;
  let looked = Date.now();
  const look = () => {
    const since = Date.now() - looked;
    looked += since;
    if (since > asleepAfter) onSlept();
  };
  const onVisibility = () => {
    if (document?.visibilityState !== 'visible') return;
    look();
    onWake();
  };
  const timer = setInterval(look, lookEvery);
  surroundings.addEventListener?.('online', onWake);
  surroundings.addEventListener?.('offline', onOffline);
  document?.addEventListener('visibilitychange', onVisibility);
  return () => {
    clearInterval(timer);
    surroundings.removeEventListener?.('online', onWake);
    surroundings.removeEventListener?.('offline', onOffline);
    document?.removeEventListener('visibilitychange', onVisibility);
  };
}

/** Whether the browser says that there is no network. Nobody else says anything. */
export function isOffline(): boolean {
  return surroundings.navigator?.onLine === false;
}

/** What relative URLs are relative to, where there is such a thing. */
export function baseUrl(): string | undefined {
  return surroundings.location?.href;
}

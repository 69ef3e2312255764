import { slices } from '../slices.ts';
import { type ClientOptions, openSubscriber, type Redis } from './redis-client.ts';

/** Milliseconds after which a subscription that was refused is tried again. */
const retryMs = 1000;
/** Channels that one command asks for: ioredis spreads them over arguments, and there are as many as the stack has room for. */
const atOnce = 1000;

export interface SubscriberOptions extends ClientOptions {
  /** A channel of this node's own, on which it hears whether it hears. */
  pulse: string;
  /** Publishes on it. */
  beat: () => Promise<unknown>;
  onMessage: (channel: string, message: string) => void;
  /** Told when it is not allowed to hear, or cannot. */
  onFault: (error: unknown) => void;
  /** Told after everything is subscribed to again: what came meanwhile has not been heard. */
  onResumed: () => void;
  /** Milliseconds between two beats; a connection that has brought none for two of them is given up. */
  beatMs?: number;
}

export interface Subscriber {
  /** Resolves once the channel is heard, however long that takes. */
  subscribe(channel: string): Promise<void>;
  unsubscribe(channel: string): void;
  close(): void;
}

/**
 * Hears channels, whatever becomes of the connection: one that is broken comes back by itself, and one that is silent is
 * noticed, since a node says something to itself now and then. No error reaches anybody.
 */
export function redisSubscriber(options: SubscriberOptions): Subscriber {
  const { pulse, beat, onMessage, onFault, onResumed, beatMs = 2000 } = options;
  const channels = new Set([pulse]);
  /** Those who wait for a channel, by its name. */
  const waiting = new Map<string, (() => void)[]>();
  let closed = false;
  let client: Redis | undefined;
  let lastHeard = performance.now();

  const settle = (name: string) => {
    for (const resolve of waiting.get(name) ?? []) resolve();
    waiting.delete(name);
  };
  /** @returns whether they are heard now */
  const ask = async (of: Redis, names: Iterable<string>): Promise<boolean> => {
    try {
      for (const some of slices(names, atOnce)) {
        await of.subscribe(...some);
        for (const name of some) settle(name);
      }
      return true;
    } catch (error) {
      if (!closed) onFault(error);
      // Who is not allowed to hear does not ask many times a second.
      setTimeout(() => closed || of.disconnect(true), retryMs).unref();
      return false;
    }
  };

  const open = (turn: number) => {
    const opened = openSubscriber(options, turn);
    client = opened;
    lastHeard = performance.now();
    opened.on('error', () => {});
    opened.on('message', (channel: string, message: string) => {
      lastHeard = performance.now();
      if (channel !== pulse) onMessage(channel, message);
    });
    opened.on('ready', () => {
      ask(opened, channels)
        .then((resumed) => resumed && !closed && client === opened && onResumed())
        .catch(onFault);
    });
    const pacemaker = setInterval(() => {
      if (closed) return clearInterval(pacemaker);
      beat().catch(() => {});
      if (performance.now() - lastHeard < 2.5 * beatMs) return;
      clearInterval(pacemaker);
      opened.disconnect();
      open(turn + 1);
    }, beatMs).unref();
  };
  open(0);

  return {
    subscribe(channel) {
      channels.add(channel);
      if (client?.status === 'ready') void ask(client, [channel]);
      return new Promise((resolve) => {
        waiting.set(channel, [...(waiting.get(channel) ?? []), resolve]);
      });
    },
    unsubscribe(channel) {
      channels.delete(channel);
      settle(channel);
      if (client?.status === 'ready') client.unsubscribe(channel).catch(() => {});
    },
    close() {
      closed = true;
      client?.disconnect();
    },
  };
}

import { type Backing, type GateLog, retention } from './backing.ts';
import { brokerFeed } from './broker-feed.ts';
import { brokerPresent } from './broker-present.ts';

/** Asks a broker over HTTP, and follows its feed. */
export interface BrokerSource {
  /** The broker, or the balancer in front of its `http` tier: `https://broker.example`. */
  broker: string;
  /** Of scope `tickets:redeem`. */
  serviceKey: string;
}

/** Does not wait for the broker: until its feed has been read, everybody is refused with 503. */
export function brokerBacking({ broker, serviceKey }: BrokerSource, log: GateLog): Backing {
  if (
    !URL.canParse(broker) ||
    !/^https?:$/.test(new URL(broker).protocol) ||
    new URL(broker).username !== ''
  ) {
    throw new TypeError('broker must be an http or https URL, without a login');
  }
  if (typeof serviceKey !== 'string' || !/^[\x21-\x7e]+$/.test(serviceKey))
    throw new TypeError('serviceKey must be one word');
  const deps = { url: new URL(broker), serviceKey, fetch, log };
  const feed = brokerFeed({ ...deps, now: () => performance.now(), retention });
  return {
    present: brokerPresent({ ...deps, now: Date.now, feed }),
    feed,
    registry: listedByTheBroker,
    node: '',
    close: () => feed.close(),
  };
}

const listedByTheBroker: Backing['registry'] = {
  add: async () => {},
  remove: async () => {},
  ofSubject: async () => [],
};

import type { Reply } from '../process/generator.ts';
import { dropSockets, fanOut, openSockets } from './crowd.ts';
import type { Jobs } from './jobs.ts';
import { redisOperations } from './redis.ts';
import { requests } from './requests.ts';
import { churn, disperse, gather, storm } from './storm.ts';
import { upgrades } from './upgrades.ts';

/** The load generator's process: does one job after another, as its parent asks, and ends with it. */
const work: { [Kind in keyof Jobs]: (job: Jobs[Kind]) => Promise<unknown> } = {
  upgrade: upgrades,
  request: requests,
  redis: redisOperations,
  open: openSockets,
  drop: dropSockets,
  fanOut,
  gather,
  churn,
  storm,
  disperse,
};

process.on('message', ({ kind, job }: { kind: keyof Jobs; job: never }) => {
  const reply = (text: Reply) => process.send?.(text);
  work[kind](job).then(
    (answer) => reply({ answer }),
    (error: Error) => reply({ fault: `${kind}: ${error.message}` }),
  );
});
process.once('disconnect', () => process.exit());

import type { Config } from '../../config.ts';
import { BrokerError } from '../../errors.ts';
import type { Access } from '../../store/access.ts';
import type { Inspection } from '../../store/inspection.ts';
import { type Finding, fault, ok, skipped, warning } from '../finding.ts';

/** Whether our Redis user may do what it must, and nothing that it should not. */
export async function checkAccess(redis: Inspection, { KEY_PREFIX }: Config): Promise<Finding[]> {
  let access: Access | undefined;
  try {
    access = await redis.access();
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error;
    return [
      fault(
        'redis-commands',
        `The Redis user may not run scripts (${error.reason}).`,
        'Grant what docs/guarantees.md lists: +eval and the others.',
      ),
    ];
  }
  return [
    await checkCommands(redis, access, KEY_PREFIX),
    access
      ? checkExcess(access)
      : skipped('redis-acl', 'Redis before 7 does not tell what its users may do.'),
  ];
}

async function checkCommands(
  redis: Inspection,
  access: Access | undefined,
  prefix: string,
): Promise<Finding> {
  const id = 'redis-commands';
  if (access?.keysOutOfReach) {
    return fault(id, `The Redis user may not touch keys that begin with ${prefix}.`, `Grant ~${prefix}*.`);
  }
  if (access && access.lacking.length > 0) {
    const names = access.lacking.map((rule) => rule.replace('|', ' ').toUpperCase()).join(', ');
    const channels = access.lacking.includes('publish') ? `, or the channels &${prefix}chat*` : '';
    return fault(
      id,
      `The Redis user lacks commands that a node needs: ${names}.`,
      `Grant ${access.lacking.map((rule) => `+${rule}`).join(' ')}${channels}.`,
    );
  }
  const found = await redis.selfTest();
  if (found === undefined) return ok(id, 'All that a node does can be done.');
  return fault(id, found, 'The same is what /readyz of the nodes says; mend that first.');
}

function checkExcess({ excessive, foreignKeys }: Access): Finding {
  const id = 'redis-acl';
  if (excessive.length === 0 && !foreignKeys) return ok(id, 'The Redis user may do no more than it must.');
  const names = excessive.map((rule) => rule.replace('|', ' ').toUpperCase());
  const may = [
    ...(names.length > 0 ? [`run ${names.join(', ')}`] : []),
    ...(foreignKeys ? ['read keys that are not ours'] : []),
  ];
  return warning(
    id,
    `The Redis user may ${may.join(' and ')}: so may whoever gets hold of one node.`,
    'Give it exactly the commands and keys that docs/guarantees.md lists.',
  );
}

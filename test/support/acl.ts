import { grants as needed } from '../../src/store/grants.ts';

const rules = (commands: object) => Object.keys(commands).map((name) => `+${name}`);

/** The rules that a Redis user of ours needs, as docs/guarantees.md lists them. */
export const grants = {
  always: rules(needed.always),
  chat: [...rules(needed.chat), '&wst:chat*'],
  database: rules(needed.database),
  cluster: rules(needed.cluster),
  /** To the sentinels' own default user, whom we are there. */
  sentinel: rules(needed.sentinel),
};

/** The rules of `ACL SETUSER broker`, for a user with these commands and our keys. */
export function userRules(password: string, commands: readonly string[]): string[] {
  return ['reset', 'on', `>${password}`, 'resetchannels', '~wst:*', '-@all', ...commands];
}

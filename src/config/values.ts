import { readFileSync } from 'node:fs';
import { Ajv } from 'ajv';
import { type Static, Type } from 'typebox';
import { secrets, variables } from '../variables.ts';

const schema = Type.Object(variables);
export type Variables = Static<typeof schema>;

/**
 * Our variables as they are given, with what is in the files that the `…_FILE` ones name.
 *
 * @param unread gets the names of secrets that are given, and cannot be read
 */
export function withSecretFiles(
  env: NodeJS.ProcessEnv,
  unread: Set<string>,
  faults: string[],
): Record<string, string> {
  const given: Record<string, string> = {};
  for (const name of Object.keys(variables)) if (env[name]) given[name] = env[name];
  for (const name of secrets) {
    const path = env[`${name}_FILE`];
    if (!path) continue;
    if (given[name]) faults.push(`${name} and ${name}_FILE are both set`);
    try {
      given[name] = readFileSync(path, 'utf8').trim();
    } catch (error) {
      faults.push(`${name}_FILE cannot be read (${(error as NodeJS.ErrnoException).code})`);
      unread.add(name);
    }
    if (given[name] === '') {
      faults.push(`${name}_FILE is empty`);
      delete given[name];
      unread.add(name);
    }
  }
  return given;
}

/** Whatever is wrong is left at its default, so that one run finds every fault. */
export function parse(given: Record<string, string>, faults: string[]): Variables {
  const ajv = new Ajv({
    allErrors: true,
    coerceTypes: true,
    useDefaults: true,
    strict: false,
    verbose: true,
  });
  const check = ajv.compile<Variables>(schema);
  const values: Record<string, unknown> = { ...given };
  if (check(values)) return values as Variables;
  for (const { instancePath, message, params, parentSchema } of check.errors ?? []) {
    const name = instancePath.slice(1);
    const allowed = params['allowedValues'] ? `: ${params['allowedValues'].join(', ')}` : '';
    faults.push(`${name} ${parentSchema?.['must'] ?? `${message}${allowed}`}`);
    delete values[name];
  }
  check(values);
  return values as Variables;
}

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseEnv } from 'node:util';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { secrets, variables } from '../../../src/variables.ts';

const root = join(import.meta.dirname, '../../..');
const read = (path: string) => readFileSync(join(root, path), 'utf8');
const documents = ['README.md', ...readdirSync(join(root, 'docs')).map((name) => `docs/${name}`)].filter(
  (name) => name.endsWith('.md'),
);

const known = new Set<string>([...Object.keys(variables), ...secrets.map((name) => `${name}_FILE`)]);
/** What docker-compose.yml reads for itself, and docker-compose from `.env`. */
const ofCompose = new Set([
  'COMPOSE_PROFILES',
  ...[...read('docker-compose.yml').matchAll(/\$\{([A-Z_]+)/g)].map(([, name]) => name),
]);
/** What the commands besides `serve` read. */
const ofCommands = new Set(
  readdirSync(new URL('../../../src/cli', import.meta.url)).flatMap(
    (file) => read(`src/cli/${file}`).match(/TICKET_BROKER_[A-Z]+/g) ?? [],
  ),
);

/** Not ours: what other programs read, and words in capitals that are no variables. */
const foreign = new Set([
  'NODE_ENV',
  'AF_INET',
  'AF_INET6',
  'AF_UNIX',
  'NAME_FILE',
  'GET-MASTER-ADDR-BY-NAME',
]);

/** Code in a text: fenced, indented by four, or inline. */
const codeIn = (text: string) => [
  ...[...text.matchAll(/^```\w*\n(.*?)^```/gms)].map(([, code = '']) => code),
  ...[...text.matchAll(/(?:^ {4}.*\n?)+/gm)].map(([code]) => code),
  ...[...text.matchAll(/`([^`\n]+)`/g)].map(([, code = '']) => code),
];

const slugOf = (heading: string) =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .replace(/\s/g, '-');

describe.each(documents)('%s', (name) => {
  const text = read(name);
  const code = codeIn(text);

  test('names no variable that is not read', () => {
    const inCapitals = [...text.matchAll(/(?<![\w/-])[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+(?![\w-])/g)].map(
      ([one]) => one,
    );
    // A word alone is a variable where something is assigned to it; the shell's own are expanded in the same text.
    const assigned = code.flatMap((piece) =>
      [...piece.matchAll(/(?:^|[\s;({])([A-Z][A-Z0-9_]*)=/gm)].map(([, one = '']) => one),
    );
    const ofShell = (one: string) => text.includes(`$${one}`) || text.includes(`\${${one}`);
    const unknown = [...inCapitals, ...assigned].filter(
      (one) =>
        !known.has(one) && !ofCompose.has(one) && !foreign.has(one) && !ofCommands.has(one) && !ofShell(one),
    );
    expect(unknown).toEqual([]);
  });

  test('leads to files and headings that are there', () => {
    const broken = [...text.matchAll(/\]\((?!https?:)([^)\s]+)\)/g)].flatMap(([, target = '']) => {
      const [path = '', anchor] = target.split('#');
      const file = path === '' ? name : join(dirname(name), path);
      if (!existsSync(join(root, file))) return [target];
      if (anchor === undefined) return [];
      const headings = [...read(file).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => slugOf(heading));
      return headings.includes(anchor) ? [] : [target];
    });
    expect(broken).toEqual([]);
  });

  test('names files, calls and scripts that are there', () => {
    const paths = [...text.matchAll(/`((?:src|test|deploy|examples|bench|docs|scripts)\/[\w./-]+)`/g)];
    expect(paths.map(([, path = '']) => path).filter((path) => !existsSync(join(root, path)))).toEqual([]);

    const api = parse(read('openapi.yaml')) as { paths: Record<string, object> };
    const calls = [...text.matchAll(/\b(GET|POST|DELETE) (\/[\w./{}-]*)(?![\w./{}…-])/g)].map(
      ([, method = '', path = '']) => `${method} ${path.replace(/\.$/, '')}`,
    );
    const served = Object.entries(api.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    expect(calls.filter((call) => !served.includes(call))).toEqual([]);

    const { scripts } = JSON.parse(read('package.json')) as { scripts: object };
    const run = [...text.matchAll(/npm run ([\w:]+)/g)].map(([, script = '']) => script);
    expect(run.filter((script) => !(script in scripts))).toEqual([]);
  });

  test('says only what the command line can do', () => {
    const commands = [...read('src/main.ts').matchAll(/\.addCommand\((\w+)Command/g)].map(([, one]) => one);
    const named = code.flatMap((piece) =>
      [...piece.matchAll(/(?<!-n |\d )\bticket-broker ([a-z]+)/g)].map(([, one = '']) => one),
    );
    expect(named.filter((one) => !commands.includes(one))).toEqual([]);
  });

  test('quotes tests by names that they have', () => {
    const quoted = [...text.matchAll(/\]\(([^)]+\.test\.ts)\) "([^"]+)"/g)];
    const missing = quoted.filter(
      ([, path = '', title = '']) => !read(join(dirname(name), path)).includes(`'${title}'`),
    );
    expect(missing.map(([whole]) => whole)).toEqual([]);
    if (name.endsWith('threat-model.md')) expect(quoted.length).toBeGreaterThan(40);
  });
});

test('the index knows every document', () => {
  const index = read('docs/README.md');
  const others = documents.filter((name) => name.startsWith('docs/') && name !== 'docs/README.md');
  expect(others.filter((name) => !index.includes(`](${name.slice('docs/'.length)})`))).toEqual([]);
});

test('the unit of systemd gives a node the time to drain, and its settings are read', () => {
  const [, env = '', unit = ''] =
    /```ini\n(.*?)```.*?```ini\n(.*?)```/s.exec(read('docs/deployment.md')) ?? [];
  const settings = parseEnv(env) as Record<string, string>;
  expect(Object.keys(settings).filter((name) => !known.has(name))).toEqual([]);
  const [, patience] = /^TimeoutStopSec=(\d+)$/m.exec(unit) ?? [];
  expect(Number(patience)).toBeGreaterThan(Number(settings['DRAIN_TIMEOUT']) + 5);
});

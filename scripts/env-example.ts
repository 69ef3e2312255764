// Writes .env.example from the variables; a unit test fails when the file is not what they say.
import { writeFileSync } from 'node:fs';
import { secrets, variables } from '../src/variables.ts';

const head = `# Everything that ticket-broker reads, with its defaults: docker-compose and systemd read files like this one.
# Unset and empty are the same. ${secrets.join(', ')} may be read from a file instead: NAME_FILE=/path.
`;
const entries = Object.entries(variables as Record<string, { description?: string; default?: unknown }>).map(
  ([name, { description, default: fallback = '' }]) => `\n# ${description}\n#${name}=${fallback}\n`,
);
writeFileSync(new URL('../.env.example', import.meta.url), head + entries.join(''));

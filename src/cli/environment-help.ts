import { secrets, variables } from '../variables.ts';

/** The environment that `serve` reads, one variable a line, for `--help`. */
export function environmentHelp(): string {
  const lines = Object.entries(variables).map(([name, schema]) => {
    const { description, default: fallback } = schema as { description?: string; default?: unknown };
    return `  ${name.padEnd(22)} ${description}${fallback === undefined ? '' : ` (${fallback})`}`;
  });
  return `\nEnvironment:\n${lines.join('\n')}\n\n${secrets.join(', ')} may be read from the file that NAME_FILE names.\n`;
}

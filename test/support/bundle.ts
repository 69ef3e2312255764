import { build } from 'rolldown';

/**
 * One script of a module and all that it imports, as a bundler makes it for a page.
 *
 * @param external what the page already has
 */
export async function bundle(input: string, external: readonly string[] = []): Promise<string> {
  const { output } = await build({
    input,
    external: [...external],
    platform: 'browser',
    write: false,
    logLevel: 'silent',
    output: { minify: true, format: 'es' },
    // React checks this, and StrictMode mounts twice where it says so.
    transform: { define: { 'process.env.NODE_ENV': '"development"' } },
  });
  return output[0].code;
}

import { build } from 'rolldown';

export interface BundleOptions {
  /** What the page already has. */
  external?: readonly string[];
  /** `iife`: a script that runs as it is. */
  format?: 'es' | 'iife';
}

/** One minified script of a module and all that it imports, as a bundler makes it for a page. */
export async function bundle(input: string, options: BundleOptions = {}): Promise<string> {
  const { external = [], format = 'es' } = options;
  const { output } = await build({
    input,
    external: [...external],
    platform: 'browser',
    write: false,
    logLevel: 'silent',
    output: { minify: true, format },
    // React asks for this; its StrictMode mounts twice while it says so.
    transform: { define: { 'process.env.NODE_ENV': '"development"' } },
  });
  return output[0].code;
}

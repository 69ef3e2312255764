#!/usr/bin/env node
// Where the sources are, they run as they stand; in an installed package, where Node strips no types, what was built of them.
import { existsSync } from 'node:fs';

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 24 || (major === 24 && minor < 9)) {
  console.error(`ticket-broker: needs Node 24.9 or newer, and this is ${process.version}`);
  process.exit(1);
}
const sources = new URL('../src/main.ts', import.meta.url);
await import(existsSync(sources) ? sources : new URL('../dist/main.js', import.meta.url));

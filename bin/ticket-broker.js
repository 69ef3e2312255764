#!/usr/bin/env node
// Where the sources are, they run as they stand; in an installed package, where Node strips no types, what was built of them.
import { existsSync } from 'node:fs';

const sources = new URL('../src/main.ts', import.meta.url);
await import(existsSync(sources) ? sources : new URL('../dist/main.js', import.meta.url));

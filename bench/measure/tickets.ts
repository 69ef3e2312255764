import { post } from '../load/wire.ts';
import type { Generator } from '../process/generator.ts';
import { serviceKey } from '../process/product.ts';
import type { Program } from '../process/program.ts';

/** Mints tickets over HTTP with a service key, each for another subject. Not measured. */
export async function mintTickets(
  generator: Generator,
  { port }: Program,
  subjects: readonly string[],
): Promise<string[]> {
  const headers = { Authorization: `Bearer ${serviceKey}` };
  const { bodies } = await generator.run('request', {
    port,
    connections: Math.min(subjects.length, 64),
    requests: subjects.map((sub) => post(port, '/tickets', headers, JSON.stringify({ sub, ttl: 300 }))),
    status: 201,
    collect: true,
  });
  return bodies.map((body) => (JSON.parse(body) as { ticket: string }).ticket);
}

export function subjects(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `user-${index}@example.com`);
}

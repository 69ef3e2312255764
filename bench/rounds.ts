/** One that takes part: measures itself once a round. */
export interface Entrant<Row> {
  name: string;
  run(): Promise<Row>;
}

export interface RoundsOptions {
  rounds: number;
  /** Rounds before them that do not count: code is compiled, caches and pools fill. */
  warmUps: number;
  onRound: (text: string) => void;
}

/**
 * Lets all of them run once a round, one at a time, each round beginning with another one: whatever else the machine
 * does meanwhile hits them alike.
 *
 * @returns each one's rows, round by round
 */
export async function interleaved<Row>(
  entrants: readonly Entrant<Row>[],
  { rounds, warmUps, onRound }: RoundsOptions,
): Promise<Map<string, Row[]>> {
  const rows = new Map<string, Row[]>(entrants.map(({ name }) => [name, []]));
  for (let round = -warmUps; round < rounds; round++) {
    onRound(round < 0 ? 'warming up' : `round ${round + 1} of ${rounds}`);
    for (let turn = 0; turn < entrants.length; turn++) {
      const index = (turn + Math.max(round, 0)) % entrants.length;
      const { name, run } = entrants[index] as Entrant<Row>;
      const row = await run().catch((error: Error) => {
        throw new Error(`${name}: ${error.message}`, { cause: error });
      });
      if (round >= 0) rows.get(name)?.push(row);
    }
  }
  return rows;
}

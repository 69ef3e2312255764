/** Milliseconds that a whole job may take before what hangs is called by its name. */
const jobDeadlineMs = 240_000;

/** Does `count` pieces of work, `concurrency` at a time. The first one that fails fails all. */
export async function inParallel(
  count: number,
  concurrency: number,
  work: (index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  let finished = 0;
  let failed = false;
  const worker = async () => {
    while (next < count && !failed) {
      await work(next++);
      finished++;
    }
  };
  const workers = Array.from({ length: Math.min(concurrency, count) }, worker);
  let late: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_resolve, reject) => {
    const fail = () => reject(new Error(`${count - finished} of ${count} operations hang`));
    late = setTimeout(fail, jobDeadlineMs);
  });
  try {
    await Promise.race([Promise.all(workers), deadline]);
  } catch (error) {
    failed = true;
    throw error;
  } finally {
    clearTimeout(late);
  }
}

import { randomUUID } from 'node:crypto';
import { afterEach, describe, expect, test } from 'vitest';
import type { Feed, FeedEntry } from '../../src/revocations/feed.ts';
import type { Revocation, RevocationTarget } from '../../src/revocations/revocation.ts';

export function aRevocation(
  target: RevocationTarget = { sub: 'alice', issued_before: Date.now() / 1000 },
): Revocation {
  return { ...target, rid: randomUUID(), at: Date.now() / 1000 };
}

/** What every feed driver does. `open` joins the same feed each time, where the driver can. */
export function feedContract(driver: string, open: () => Promise<Feed>, shared: boolean): void {
  describe(`${driver} feed`, () => {
    const opened: Feed[] = [];
    const join = async () => {
      const feed = await open();
      opened.push(feed);
      await expect.poll(() => feed.current, { timeout: 10_000 }).toBe(true);
      return feed;
    };
    afterEach(async () => {
      await Promise.all(opened.splice(0).map((feed) => feed.close()));
    });
    const ridsOf = (entries: readonly FeedEntry[]) => entries.map(({ revocation }) => revocation.rid);

    test('hands a revocation to those who follow, before publishing it is done', async () => {
      const feed = await join();
      const seen: FeedEntry[] = [];
      feed.follow((entry) => seen.push(entry));
      const revocation = aRevocation();
      const cursor = await feed.publish(revocation);
      expect(seen).toEqual([{ cursor, revocation }]);
    });

    test('keeps the order, and hands over each once', async () => {
      const feed = await join();
      const seen: FeedEntry[] = [];
      feed.follow((entry) => seen.push(entry));
      const revocations = Array.from({ length: 50 }, () => aRevocation());
      for (const revocation of revocations) await feed.publish(revocation);
      await new Promise((resolve) => setTimeout(resolve, 100));
      expect(ridsOf(seen)).toEqual(revocations.map(({ rid }) => rid));
    });

    test('tells nobody who has stopped following', async () => {
      const feed = await join();
      const seen: FeedEntry[] = [];
      feed.follow((entry) => seen.push(entry))();
      await feed.publish(aRevocation());
      expect(seen).toEqual([]);
    });

    test('can be resumed at a cursor, and tells all to one that it does not know', async () => {
      const feed = await join();
      const [first, second] = [aRevocation(), aRevocation()];
      const cursor = await feed.publish(first);
      await feed.publish(second);
      expect(ridsOf(feed.since(cursor))).toEqual([second.rid]);
      expect(ridsOf(feed.since('another-tenure-1-0')).slice(-2)).toEqual([first.rid, second.rid]);
      expect(ridsOf(feed.since(undefined)).slice(-2)).toEqual([first.rid, second.rid]);
    });

    test('publishing the same revocation again changes nothing for those who follow', async () => {
      const feed = await join();
      const seen: FeedEntry[] = [];
      feed.follow((entry) => seen.push(entry));
      const revocation = aRevocation();
      await feed.publish(revocation);
      await feed.publish(revocation);
      await new Promise((resolve) => setTimeout(resolve, 100));
      expect(ridsOf(seen)).toEqual([revocation.rid]);
    });

    if (shared) {
      test('reaches every node, and one that joins later', async () => {
        const [here, there] = [await join(), await join()];
        const seen: FeedEntry[] = [];
        there.follow((entry) => seen.push(entry));
        const revocation = aRevocation({ session_id: 's1' });
        await here.publish(revocation);
        await expect.poll(() => ridsOf(seen)).toContain(revocation.rid);
        expect(ridsOf((await join()).since(undefined))).toContain(revocation.rid);
      });

      test('has one order on all nodes, so that it can be resumed on another', async () => {
        const [here, there] = [await join(), await join()];
        const seenBy = [here, there].map((feed) => {
          const seen: FeedEntry[] = [];
          feed.follow((entry) => seen.push(entry));
          return seen;
        });
        const published = Array.from({ length: 200 }, (_, n) =>
          (n % 2 ? here : there).publish(aRevocation()),
        );
        await Promise.all(published);
        await expect.poll(() => seenBy.map((seen) => seen.length)).toEqual([200, 200]);
        expect(seenBy[1]).toEqual(seenBy[0]);
      });
    }
  });
}

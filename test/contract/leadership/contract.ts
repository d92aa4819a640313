import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Leadership, LeadershipTerm } from '../../../src/base/ports.ts';
import { clock, until } from '../../wait.ts';

/** One that would lead, and the network between it and whoever decides. */
export interface Candidate {
  readonly url: string;
  readonly leadership: Leadership;
  /** It can reach nobody any more, and is not told. */
  freeze(): void;
  heal(): void;
}
export interface LeadershipFixture {
  /** How long one that is silent is waited for, milliseconds. */
  readonly timeoutMs: number;
  candidate(): Promise<Candidate>;
  close(): Promise<void>;
}

/** What every implementation of {@link Leadership} keeps. */
export function leadershipContract(name: string, create: () => Promise<LeadershipFixture>): void {
  describe(`leadership: ${name}`, () => {
    let fixture: LeadershipFixture;
    const ends: AbortController[] = [];
    beforeEach(async () => {
      fixture = await create();
    });
    afterEach(async () => {
      for (const end of ends.splice(0)) end.abort();
      await fixture.close();
    });

    /** Stands for leadership; `led` once it has it. */
    const stand = ({ leadership }: Candidate) => {
      const end = new AbortController();
      ends.push(end);
      const standing = {
        term: null as LeadershipTerm | null,
        sinceMs: Number.NaN,
        overMs: Number.NaN,
        error: null as unknown,
        end,
      };
      leadership.lead(end.signal).then(
        (term) => {
          standing.sinceMs = clock.monotonicMs();
          standing.term = term;
          term.over.addEventListener('abort', () => {
            standing.overMs = clock.monotonicMs();
          });
        },
        (error: unknown) => {
          standing.error = error;
        },
      );
      return standing;
    };
    type Standing = ReturnType<typeof stand>;
    const termOf = (standing: Standing): Promise<LeadershipTerm> =>
      until('it leads', 20_000, () => standing.term);
    /** One leads, and two more have stood by in this order. */
    const ledByTheFirst = async () => {
      const [one, two, three] = [
        await fixture.candidate(),
        await fixture.candidate(),
        await fixture.candidate(),
      ];
      const first = await termOf(stand(one));
      const second = stand(two);
      await until('the second knows the first', 10_000, () => two.leadership.leaderUrl() === one.url);
      const third = stand(three);
      await until('the third knows the first', 10_000, () => three.leadership.leaderUrl() === one.url);
      return { first, second, third, two, three };
    };

    it('gives it to one that stands alone', async () => {
      const one = await fixture.candidate();
      expect(one.leadership.leaderUrl()).toBeNull();
      const term = await termOf(stand(one));
      expect(term.over.aborted).toBe(false);
      expect(term.holds()).toBe(true);
      expect(one.leadership.leaderUrl()).toBe(one.url);
    });

    it('lets others stand by, who know the leader, and follow each other as leaders resign', async () => {
      const { first, second, third, two, three } = await ledByTheFirst();
      expect([second.term, third.term]).toEqual([null, null]);
      await first.resign();
      expect(first.over.aborted).toBe(true);
      expect(first.holds()).toBe(false);
      const next = await Promise.race([termOf(second), termOf(third)]);
      const [follower, other] = second.term === next ? [two, third] : [three, second];
      expect(other.term).toBeNull();
      await until('who waits knows the new leader', 10_000, () => {
        const waiting = follower === two ? three : two;
        return waiting.leadership.leaderUrl() === follower.url;
      });
      await next.resign();
      await next.resign();
      await termOf(other);
    });

    it('ends the term of one that is cut off before another leads', async () => {
      const [one, two] = [await fixture.candidate(), await fixture.candidate()];
      const first = stand(one);
      const term = await termOf(first);
      const second = stand(two);
      await until('the second knows the first', 10_000, () => two.leadership.leaderUrl() === one.url);
      one.freeze();
      await termOf(second);
      expect(term.over.aborted).toBe(true);
      expect(term.holds()).toBe(false);
      expect(first.overMs).toBeLessThan(second.sinceMs);
      expect(two.leadership.leaderUrl()).toBe(two.url);
      one.heal();
      const again = stand(one);
      await until('the first knows the second', 20_000, () => one.leadership.leaderUrl() === two.url);
      expect(again.term).toBeNull();
      await (await termOf(second)).resign();
      expect((await termOf(again)).holds()).toBe(true);
    });

    it('keeps the term through an interruption that is shorter than its session', async () => {
      const one = await fixture.candidate();
      const term = await termOf(stand(one));
      one.freeze();
      await clock.sleep(fixture.timeoutMs / 5);
      one.heal();
      await clock.sleep(fixture.timeoutMs * 1.5);
      expect(term.over.aborted).toBe(false);
      expect(term.holds()).toBe(true);
    });

    it('never elects one that has given up waiting', async () => {
      const { first, second, third } = await ledByTheFirst();
      second.end.abort();
      await until('it was told', 10_000, () => second.error);
      await first.resign();
      await termOf(third);
      expect(second.term).toBeNull();
    });
  });
}

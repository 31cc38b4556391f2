/** How long to wait before each attempt, in seconds: a fast phase, then exponential backoff, all with full jitter. */
export interface Backoff {
  /** Attempts of the fast phase. */
  readonly fastRetries: number;
  /** The longest delay of the fast phase, and the base of the later ones. */
  readonly fastInterval: number;
  /** No delay is longer. */
  readonly maxInterval: number;
}

/** The longest delay, in seconds, before attempt `attempt` (1 is the first). */
export function bound({ fastRetries, fastInterval, maxInterval }: Backoff, attempt: number): number {
  // Doubled too often it is infinite, which is over any maximum; but nothing stays nothing.
  return Math.min(fastInterval * 2 ** Math.max(attempt - fastRetries, 0) || 0, maxInterval);
}

/** The next attempt: its number in a row, from 1, and the seconds to wait before it. */
export interface Retry {
  readonly attempt: number;
  readonly delay: number;
}

/** How many attempts have been made in a row. */
export type Retries = ReturnType<typeof makeRetries>;

/**
 * @param limit attempts in a row, or null or undefined for no limit
 * @param random gives a number in [0, 1)
 */
export function makeRetries(backoff: Backoff, limit: number | null | undefined, random: () => number) {
  let attempt = 0;
  return {
    /** The next attempt, if the limit allows one. One made at once counts, but waits for nothing and is not refused. */
    _next(atOnce?: boolean): Retry | undefined {
      if (!atOnce && limit != null && attempt >= limit) return undefined;
      attempt++;
      // Drawn evenly from 0 to the bound, so that a thousand clients of a restarted server do not come back together.
      return { attempt, delay: atOnce ? 0 : bound(backoff, attempt) * random() };
    },

    /** Count from 0 again. */
    _reset(): void {
      attempt = 0;
    },
  };
}

/** Maximums of the delays, in seconds: a fast phase, then exponential backoff, all with full jitter. */
export interface Backoff {
  /** Number of attempts in the fast phase. */
  readonly fastRetries: number;
  /** Maximum of the delays of the fast phase; doubled for each later attempt. */
  readonly fastInterval: number;
  /** Maximum of every delay. */
  readonly maxInterval: number;
}

/** Return the maximum of the delay, in seconds, before attempt `attempt` (1 is the first). */
export function bound({ fastRetries, fastInterval, maxInterval }: Backoff, attempt: number): number {
  // After many doublings the product is infinite, and the maximum counts; 0 times infinity is NaN, which becomes 0.
  return Math.min(fastInterval * 2 ** Math.max(attempt - fastRetries, 0) || 0, maxInterval);
}

/** The next attempt: its number in a row, from 1, and the seconds to wait before it. */
export interface Retry {
  readonly attempt: number;
  readonly delay: number;
}

/** Counts the attempts in a row, and draws their delays. */
export type Retries = ReturnType<typeof makeRetries>;

/**
 * @param limit attempts in a row, or null or undefined for no limit
 * @param random gives a number in [0, 1)
 */
export function makeRetries(backoff: Backoff, limit: number | null | undefined, random: () => number) {
  let attempt = 0;
  return {
    /** Return the next attempt, if the limit allows it. An attempt at once counts, but has no delay and no limit. */
    _next(atOnce?: boolean): Retry | undefined {
      if (!atOnce && limit != null && attempt >= limit) return undefined;
      attempt++;
      // Drawn evenly from 0 to the bound, so that the clients of a restarted server do not all come back together.
      return { attempt, delay: atOnce ? 0 : bound(backoff, attempt) * random() };
    },

    /** Count the attempts from 0 again. */
    _reset(): void {
      attempt = 0;
    },
  };
}

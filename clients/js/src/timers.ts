/** Seconds. Timers for 2^31 milliseconds and more would end at once. */
const LONGEST = 2e6;

/** A timer; one that is longer than there are waits for as long as there is. */
export function after(seconds: number, act: () => void): ReturnType<typeof setTimeout> {
  return setTimeout(act, Math.min(seconds, LONGEST) * 1000);
}

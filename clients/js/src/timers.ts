/** Seconds of the longest timer. Timers for 2^31 milliseconds and more would end at once. */
const MAX_DELAY = 2e6;

/** Call a function after some seconds, `MAX_DELAY` at most. */
export function after(seconds: number, act: () => void): ReturnType<typeof setTimeout> {
  return setTimeout(act, Math.min(seconds, MAX_DELAY) * 1000);
}

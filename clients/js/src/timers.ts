/** A timer. Those for 2^31 milliseconds and more would end at once: here they wait for as long as there is. */
export function after(seconds: number, act: () => void): ReturnType<typeof setTimeout> {
  return setTimeout(act, Math.min(seconds * 1000, 2 ** 31 - 1));
}

import { CallTimeout, CrosswireError } from "./errors.js";
import { after } from "./timers.js";

type Timer = ReturnType<typeof after> | undefined;
type Settle = (failed: unknown, result: unknown) => void;

/** The calls that wait for their answer, by id. */
export type Calls = ReturnType<typeof makeCalls>;

export function makeCalls() {
  const waiting = new Map<string, Settle>();
  let count = 0;
  return {
    /** By the id of a call, the function that settles it: with its answer or an error. */
    _waiting: waiting as ReadonlyMap<string, Settle>,

    /** Send a call by `send(id)` and wait for its answer, `timeout` seconds at most. */
    _call: (
      send: (id: string) => void,
      timeout: number,
      onPending: () => void,
      pendingAfter: number,
      signal: AbortSignal | undefined,
    ) =>
      new Promise<unknown>((resolve, reject) => {
        const id = `${++count}`;
        let late: Timer;
        let pending: Timer;
        const settle: Settle = (failed, result) => {
          waiting.delete(id);
          clearTimeout(late);
          clearTimeout(pending);
          if (signal) signal.removeEventListener("abort", aborted);
          (failed ? reject : resolve)(result);
        };
        // Older platforms give a signal no reason.
        const aborted = () => settle(1, signal!.reason || new CrosswireError("aborted", "ABORTED"));
        if (signal && signal.aborted) return aborted();
        send(id);
        if (timeout < Infinity)
          late = after(timeout, () => settle(1, new CallTimeout(`no answer within ${timeout} s`)));
        pending = after(pendingAfter, onPending);
        if (signal) signal.addEventListener("abort", aborted);
        waiting.set(id, settle);
      }),
  };
}

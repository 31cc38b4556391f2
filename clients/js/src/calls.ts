import { CallTimeout, CrosswireError, NotConnected } from "./errors.js";
import { after } from "./timers.js";

type Timer = ReturnType<typeof after> | undefined;
type Settle = (failed: unknown, result: unknown) => void;

/** The calls that wait for their answer, by id. A late, repeated or invented answer finds nothing. */
export type Calls = ReturnType<typeof makeCalls>;

export function makeCalls() {
  const waiting = new Map<string, Settle>();
  let count = 0;
  return {
    /** Send a call by `send(id)` and wait for its answer, `timeout` seconds at most. */
    _call: (
      send: (id: string) => void,
      timeout: number,
      onPending: () => void,
      pendingAfter: number,
      signal: AbortSignal | undefined,
    ) =>
      new Promise<unknown>((resolve, reject) => {
        const id = (++count).toString(36);
        let late: Timer;
        let pending: Timer;
        const settle: Settle = (failed, result) => {
          waiting.delete(id);
          clearTimeout(late);
          clearTimeout(pending);
          if (signal) signal.removeEventListener("abort", aborted);
          (failed ? reject : resolve)(result);
        };
        // Where signals have no reason yet, there is one all the same.
        const aborted = () => settle(1, signal!.reason || new CrosswireError("aborted", "ABORTED"));
        if (signal && signal.aborted) return aborted();
        send(id);
        late = after(timeout, () => settle(1, new CallTimeout(`no answer within ${timeout} s`)));
        pending = after(pendingAfter, onPending);
        if (signal) signal.addEventListener("abort", aborted);
        waiting.set(id, settle);
      }),

    /** Hand an answer to who waits for it, if anybody still does. */
    _settle(id: string, failed: unknown, result: unknown): void {
      const settle = waiting.get(id);
      if (settle) settle(failed, result);
    },

    /** Fail all that wait: no answer can come any more. */
    _lost: (why: string) => waiting.forEach((settle) => settle(1, new NotConnected(why))),
  };
}

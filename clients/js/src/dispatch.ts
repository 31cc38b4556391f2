import type { AnyHandler } from "./listeners.js";

/** Called with the value that a handler returned, or the error that it threw. */
export type OnResult = (result: unknown, failed?: boolean) => void;

/** Call handlers one after the other, each when the last one's promise is settled. Returns a promise if a handler did. */
export function callAll(handlers: AnyHandler[], args: unknown[], told: OnResult): Promise<void> | void {
  const raised = (error: unknown) => told(error, true);
  for (let index = 0; index < handlers.length;) {
    try {
      const value = handlers[index++](...args) as PromiseLike<unknown> | null | undefined;
      if (value && typeof value.then === "function") {
        return Promise.resolve(value)
          .then(told, raised)
          .then(() => callAll(handlers.slice(index), args, told));
      }
      told(value);
    } catch (error) {
      raised(error);
    }
  }
}

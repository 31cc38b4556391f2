import { UsageError } from "./errors.js";

export type AnyHandler = (...args: any[]) => unknown;

/** The user's label for `off`. */
export type Tag = string | number;

export interface ListenOptions {
  /** Remove the handler before its first call. */
  once?: boolean | undefined;
  tag?: Tag | undefined;
}

type Listener = ListenOptions & { handler: AnyHandler };

/** The handlers of one event or hook, in the order they were added. */
export interface Listeners {
  /** Add a handler; returns a function that removes it. */
  (handler: AnyHandler, options?: ListenOptions): () => void;
  /** Remove the given handler, the handlers with the given tag, or all. */
  off(handlerOrTag?: AnyHandler | Tag): void;
  /** The handlers to call now; those added with `once` are removed. @internal */
  _take(): AnyHandler[];
  /** Whether a handler was asynchronous once. @internal */
  _isAsync?: boolean;
}

/** @param emptied called when no handler is left */
export function makeListeners(emptied: () => unknown = () => {}): Listeners {
  // Replaced, never changed: if a handler adds or removes handlers, that takes effect with the next event.
  let all: Listener[] = [];
  const keep = (kept: (listener: Listener) => unknown) => {
    all = all.filter(kept);
    if (!all[0]) emptied();
  };
  const add: Listeners = (handler, options) => {
    const listener = { ...options, handler };
    const remove = () => keep((each) => each !== listener);
    all = [...all, listener];
    if (typeof handler === "function") return remove;
    remove(); // calls `emptied` if it was the only one
    throw new UsageError("no function");
  };
  add.off = (which) => keep(({ handler, tag }) => which !== undefined && handler !== which && tag !== which);
  add._take = () => {
    const taken = all;
    keep(({ once }) => !once);
    return taken.map(({ handler }) => handler);
  };
  return add;
}

import type { Close } from "./close.js";
import { callAll } from "./dispatch.js";
import type { AnyHandler, ListenOptions, Listeners, Tag } from "./listeners.js";
import type { Encoded } from "./messages.js";
import type { RoomState } from "./rooms.js";

/** A life event that the application can attach handlers to; no message of the server can trigger it. */
export interface Hook<Args extends unknown[]> {
  /** Attach a handler; returns a function that removes it. */
  (handler: (...args: Args) => unknown, options?: ListenOptions): () => void;
  /** Remove the given handler, the handlers with the given tag, or all. */
  off(handlerOrTag?: ((...args: Args) => unknown) | Tag): void;
}

/** The hooks of a client. */
export interface Hooks {
  /** The connection is open, the first time and after every loss. The server may still refuse the client: see `connect`. */
  readonly onOpen: Hook<[]>;
  /** An open connection ended, once for each `onOpen`. `reconnecting` tells whether another will be tried. */
  readonly onClose: Hook<[close: Close]>;
  /** A handler or an attempt to connect failed, or a message of the server can't be decoded. */
  readonly onError: Hook<[error: unknown]>;
  /** Every message but heartbeats, before its handlers; also one that is dropped, as the client has had it already. */
  readonly onMessage: Hook<[raw: Encoded]>;
  /** A heartbeat was sent. */
  readonly onPing: Hook<[]>;
  /** The echo of a heartbeat came. */
  readonly onPong: Hook<[milliseconds: number]>;
  /** No echo came in time, and the connection is about to be dropped. */
  readonly onPongTimeout: Hook<[]>;
  /** The attempt of that number will be made in `delay` seconds. */
  readonly onReconnect: Hook<[attempt: number, delay: number]>;
  /** That many attempts failed, and no more will be made. */
  readonly onGiveUp: Hook<[limit: number]>;
  /**
   * The client is in a room that keeps history, or has missed something in it. Called before the handlers of the messages
   * that follow.
   */
  readonly onRoom: Hook<[room: RoomState]>;
}

/** Calls the hooks of the application, and reports failures to it. */
export interface HookCaller {
  /** Call a hook's handlers; what they throw is reported. Returns whether there are any. */
  _fire<Name extends keyof Hooks>(hook: Name, ...args: Parameters<Parameters<Hooks[Name]>[0]>): unknown;
  /** Call a function of the application as a hook's handlers are. */
  _call(handler: AnyHandler): void;
  /** Give a failure to `onError`; log it if `onError` has no handler. */
  _report(error: unknown): void;
}

export function makeHookCaller(hooks: Hooks): HookCaller {
  // Each by itself: a handler that waits delays no other.
  const tell = (handlers: AnyHandler[], args: unknown[], report: (error: unknown) => void) =>
    handlers.map((handler) => (callAll([handler], args, (error, failed) => failed && report(error)), 1))[0];
  const take = (hook: keyof Hooks) => (hooks[hook] as unknown as Listeners)._take();
  const report = (error: unknown) => {
    const handlers = take("onError");
    tell(handlers.length ? handlers : [console.error], [error], console.error);
  };
  return {
    _fire: (hook, ...args) => tell(take(hook), args, report),
    _call: (handler) => tell([handler], [], report),
    _report: report,
  };
}

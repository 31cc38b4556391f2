import { ABNORMAL, BACKGROUND, CLIENT_CLOSED, type Close, NORMAL, type Policy } from "./close.js";
import { NotConnected, Refused } from "./errors.js";
import type { HookCaller } from "./hooks.js";
import { isHidden } from "./page.js";
import { Phase } from "./phases.js";
import type { Retries } from "./retries.js";
import type { Session, SessionEvents } from "./session.js";
import { after } from "./timers.js";

/** Seconds for one attempt: name resolution, TCP, TLS and the upgrade together. */
const CONNECT_TIMEOUT = 10;

/** Callbacks of a reconnection to its client. */
export interface ReconnectionCallbacks {
  /** Make a session and let it connect; may throw. */
  _dial(owner: SessionEvents, url: string): Session;
  /** Attempts begin, or no more will be made. */
  _wanted(wanted: boolean): void;
  /** The client was let in, and queued messages can be sent. */
  _ready(): void;
}

/** The options that decide about connections. */
export interface ReconnectionOptions {
  /** Return the URL of the next attempt, or a promise of it; may throw. */
  readonly address: () => string | Promise<string>;
  readonly reconnectPolicy: Policy;
  /** Attempts in a row; null or undefined for no limit. */
  readonly retryLimit?: number | null | undefined;
  /** Seconds until a connection is stable. */
  readonly stableAfter: number;
  /** Messages that are queued until the server has let the client in; 0 or undefined for none. */
  readonly queueLimit?: number | undefined;
}

/** A callback for each phase that is entered, which tests add. The script leaves it out. */
interface Watched {
  _watch?(phase: Phase): void;
}

/**
 * The lasting connection of a client, over one session after the other: connects, and connects again after a loss, until
 * it is stopped.
 */
export type Reconnection = ReturnType<typeof makeReconnection>;

export function makeReconnection(
  { _dial, _wanted, _ready }: ReconnectionCallbacks,
  { address, reconnectPolicy: policy, retryLimit, stableAfter, queueLimit }: ReconnectionOptions,
  retries: Retries,
  { _fire, _report }: HookCaller,
) {
  let phase = Phase.Idle;
  let current: Session | null; // the open session, or the one that is connecting
  let lost = false; // whether there was a connection, or `reconnect` was called
  let atOnce = false;
  let planned: unknown; // whether the next attempt was announced to handlers, and may begin
  let timer: ReturnType<typeof setTimeout> | undefined;
  const waiters: [resolve: () => void, reject: (error: NotConnected) => void][] = [];
  let last: Close | null = null; // the end of the last connection or attempt
  let closing: Promise<void> | undefined;
  // Counts starts and ends of attempts: it shows whether a handler has ended the attempts, or started new ones.
  let run = 0;

  // A hook that a handler of another hook causes is called after the other's handlers: so onOpen and onClose alternate.
  const due: [hook: "onOpen" | "onClose", ...args: any[]][] = [];
  const tell = (...notice: (typeof due)[0]) => {
    if (due.push(notice) < 2) for (; due[0]; due.shift()) _fire(...(due[0] as ["onOpen"]));
  };
  const release = (error?: NotConnected) => waiters.splice(0).forEach((settle) => settle[error ? 1 : 0](error!));

  const enter = (next: Phase) => {
    FULL: if (next !== phase) (reconnection as Watched)._watch?.(next);
    phase = next;
    planned = 0;
  };

  /** Make no more attempts. New ones may be started at once. */
  const end = (why: NotConnected) => {
    clearTimeout(timer);
    run++;
    current = null;
    enter(Phase.Idle);
    lost = false;
    _wanted(false);
    release(why);
  };

  /** A connection ended, or an attempt failed: go on, unless the policy or a handler ends it. */
  const over = (close: Close) => {
    const was = phase;
    const why = was === Phase.Open ? new Refused(close.code, close.reason) : new NotConnected(close);
    clearTimeout(timer);
    current = null;
    enter(Phase.Waiting);
    last = close;
    const began = ++run;
    let again;
    // Decided before onClose is called, so that its handlers see `reconnecting`.
    try {
      again = atOnce || policy(close);
    } catch (error) {
      _report(error);
    }
    if (began === run && !again) end(why);
    if (was >= Phase.Open) tell("onClose", close);
    else if (!atOnce) _report(why); // if set, _retryNow has ended the attempt
    if (began !== run) return;
    // Closed because the page was hidden: _wake is called when the page is shown.
    if (close.code === BACKGROUND && !atOnce && isHidden()) planned = 1;
    else plan();
  };

  /** Wait for the next attempt, if there is one. */
  const plan = () => {
    const retry = retries._next(atOnce);
    if (!retry) {
      end(new NotConnected(last, `gave up after ${retryLimit} attempts`));
      _fire("onGiveUp", retryLimit!);
      return;
    }
    const began = run;
    _fire("onReconnect", retry.attempt, retry.delay);
    if (began !== run) return; // a handler has ended the attempts
    planned = 1;
    if (atOnce) dial();
    else timer = after(retry.delay, dial);
  };

  const dial = () => {
    clearTimeout(timer);
    _wanted(true);
    atOnce = false;
    enter(Phase.Connecting);
    const began = ++run;
    const go = (url: string) => began === run && (current = _dial(owner, url));
    const fail = (error: unknown) => began === run && over({ code: ABNORMAL, reason: String(error) });
    timer = after(CONNECT_TIMEOUT, () => (current ? current._abort : fail)(`no answer within ${CONNECT_TIMEOUT} s`));
    try {
      const url = address();
      if (typeof url === "string") go(url);
      else url.then(go).catch(fail);
    } catch (error) {
      fail(error);
    }
  };

  const owner: SessionEvents = {
    _opened() {
      clearTimeout(timer);
      enter(Phase.Open);
      lost = true;
      tell("onOpen");
    },

    _letIn() {
      enter(Phase.Ready);
      timer = after(stableAfter, retries._reset);
      release();
      _ready();
    },

    _stable: retries._reset,

    _closed(ended, close) {
      if (ended === current) over(close);
    },
  };

  const reconnection = {
    /**
     * Send a message, or return false if that is not possible now; throws InvalidPayload. With `early`, also send before the
     * client is let in. Without it that is done only if there is no queue.
     */
    _send: (message: unknown, early?: unknown, gently?: boolean) =>
      phase >= (early || !queueLimit ? Phase.Open : Phase.Ready) && current!._send(message, gently),

    /** The error to throw where there is no connection. */
    _missing: () => new NotConnected(last),

    /** Whether a connection was lost and the next one is still to come. */
    _reconnecting: () => lost && phase < Phase.Open,

    /** Wait until the client is let in; start to connect if that is not under way. */
    _connect(): Promise<void> {
      const connected = new Promise<void>((...settle) => waiters.push(settle));
      connected.catch(() => {}); // no error of an unhandled promise: onError, onClose and onGiveUp are called too
      if (phase === Phase.Ready) release();
      if (phase === Phase.Idle) {
        retries._reset();
        dial();
      }
      return connected;
    },

    /** Drop the connection or the attempt, and connect anew at once. */
    _retryNow(reset?: boolean): void {
      if (reset) retries._reset();
      atOnce = lost = true;
      if (current) current._abort("reconnecting", NORMAL);
      else if (planned) dial();
      else if (phase !== Phase.Waiting) {
        enter(Phase.Waiting);
        plan();
      } // if not, the attempt is being planned, and will be made at once
    },

    /** Make the next attempt now: the page is shown, or the network is back. */
    _wake(): void {
      if (planned) dial();
    },

    /** Close the connection, or end the attempts; resolves when nothing is left. */
    async _stop(): Promise<void> {
      const was = current;
      const open = phase >= Phase.Open;
      const close = { code: CLIENT_CLOSED, reason: "closed by the client" };
      end(new NotConnected(close));
      if (open) {
        last = close;
        closing = was!._close(close);
        tell("onClose", close); // at once, as a new connection does not wait for the handshake
      } else if (was) was._abort(close.reason);
      return closing;
    },
  };
  return reconnection;
}

import type { Calls } from "./calls.js";
import { ABNORMAL, type Close } from "./close.js";
import { EventError, NotConnected } from "./errors.js";
import type { Heartbeat } from "./heartbeat.js";
import type { Teller } from "./hooks.js";
import { type Codec, encode, type Encoded, JSON_CODEC, type Message, orNull } from "./messages.js";
import type { Reply, Router } from "./router.js";
import { after } from "./timers.js";
import type { WebSocketClass } from "./websocket.js";

/** Bytes that may wait for a server that does not read fast enough; over it the connection is dropped. */
const OUTBOX = 2 ** 24; // 16 MiB

/**
 * Bytes a second of the slowest network. What was sent before a heartbeat may stand in the buffers of the operating system,
 * which shows nothing of them: the echo is waited for as long as they may take, and the whole of such a buffer for 64 s.
 */
const SLOWEST = 2 ** 14;
const HIDDEN = 2 ** 20;

/** Seconds until what waits for half of that to be free is tried again: no WebSocket tells when. */
const DRAIN = 0.1;

/**
 * Seconds to be let in: an original server has echoed a first heartbeat long before, ours says `$ready`, or closes when
 * its own time for that is over. Without heartbeats a server may have nothing to say, and is not waited for as long.
 */
const LET_IN = 12;
const LET_IN_SILENTLY = 1;

/** Seconds to wait for the server's part of the closing handshake; then the connection counts as gone. */
const CLOSE_TIMEOUT = 5;

/** Seconds for the server's own, counted from a heartbeat it did not echo. More than WebSockets wait themselves, if they do. */
const CLOSING_TIMEOUT = 60;

/** A WebSocket's `readyState` when it can send. */
const OPEN = 1;

/** How to connect, and what to speak then. */
export interface Target {
  readonly subprotocols: readonly string[];
  /** Spoken if the server agrees; else JSON is. */
  readonly codec: Codec;
  readonly pingText: string;
  readonly WebSocket: WebSocketClass;
}

/** What a session uses of its client. */
export interface Parts {
  readonly _router: Router;
  readonly _calls: Calls;
  readonly _heartbeat: Heartbeat;
  readonly _teller: Teller;
  subprotocol: string | undefined;
  /** Send what waits to be sent. */
  _flush(): void;
}

/** Who wants to know that a session begins and ends. */
export interface SessionEvents {
  _opened(): void;
  /** The server has let the client in, as far as it tells. */
  _entered(): void;
  /** It said something since, that is no part of letting in. */
  _heard(): void;
  /** The connection is gone, or could not be made. */
  _ended(session: Session, close: Close): void;
}

/** One connection, from the attempt to its end. */
export interface Session {
  /**
   * Send a message, or return nothing true if that can't be done now; throws InvalidPayload. `gently`: not if half of what may
   * wait for the server waits already; `_flush` is called soon.
   */
  _send(message: unknown, gently?: boolean): unknown;
  /** Start the closing handshake; resolves when it is done. What waits for an answer fails now, and nothing more is sent or received. */
  _close(close: Close): Promise<void>;
  /**
   * As `_close`, but the connection counts as gone at once. The handshake goes on alone; without a code there is none,
   * where the WebSocket can be cut off: most can't.
   */
  _abort(reason: string, code?: number): void;
}

/** Away: the connection is not open yet, or no longer used; Open: it is; Ready: and the server has let the client in. */
const enum State {
  Away,
  Open,
  Ready,
}

/** Begin to connect; throws what the WebSocket's constructor throws. */
export function openSession(owner: SessionEvents, url: string, target: Target, parts: Parts): Session {
  const { codec: offered, pingText } = target;
  const { _router, _calls, _heartbeat, _teller } = parts;
  let codec = JSON_CODEC;
  let state = State.Away;
  let ours: boolean | undefined; // whether the server tells when it lets in, where the WebSocket shows that
  let asking: unknown; // the echo of the first heartbeat is still to come: it says no more than that
  let heard: unknown; // something came since the last look
  let sent = 0; // bytes, as far as they are known: characters
  let gone = 0; // those that had left at the last look
  let read = 0; // and those that had come
  let before = 0; // those sent before the last heartbeat
  let ahead = 0; // those of them that may still be on their way, behind what the system shows
  let why = "lost";
  let closed: (() => void) | undefined;
  let late: ReturnType<typeof after> | undefined;

  const leave = (close: Close) => {
    clearTimeout(late);
    if (!state) return;
    state = State.Away;
    _heartbeat._stop();
    const lost = new NotConnected(close);
    _calls._waiting.forEach((settle) => settle(1, lost));
  };
  const end = (reason = why, code = ABNORMAL) => {
    const close = { code, reason };
    if (closed) closed();
    socket.onopen = null; // what was given up may still open
    leave(close);
    owner._ended(session, close);
  };
  // From the server's Close frame until `onclose`, a WebSocket discards what it is given and says nothing.
  const canSend = () => socket.readyState === OPEN;
  /** Whether something came or went since the last look, some seconds ago, or what went may still be on its way. */
  const hasMoved = (seconds: number) => {
    const { bufferedAmount } = socket;
    const left = sent - bufferedAmount;
    // That nothing waits any more says only that the system has taken it.
    const result = heard || (bufferedAmount && left > gone) || (ahead -= SLOWEST * seconds) > 0;
    heard = 0;
    gone = left;
    FULL: if (socket._socket) {
      const { bytesRead } = socket._socket; // of a message that is still coming
      if (bytesRead > read) return (read = bytesRead);
    }
    return result;
  };
  const transmit = (encoded: Encoded) => {
    if (!canSend()) return;
    if (socket.bufferedAmount > OUTBOX) return abort("outbox full");
    socket.send(encoded);
    sent += encoded.length;
    return true;
  };
  const say = (message: unknown) => transmit(encode(codec, message));
  // The package `ws` would wait for the server's part of the handshake, and keep the process alive for 30 seconds.
  const cut = () => {
    if (socket.terminate) socket.terminate();
  };
  const abort = (reason: string, code?: number) => {
    end(reason, code); // first: Node's own WebSocket tells of its end while it is being closed
    FULL: if (!code) cut();
    socket.close(code, code ? reason : undefined);
  };
  const enter = () => {
    if (state !== State.Open) return;
    state = State.Ready;
    clearTimeout(late);
    const noEcho = () => {
      // How it ends was decided by the server, if that ever happens.
      if (!canSend()) return void (late = after(CLOSING_TIMEOUT, end));
      _teller._fire("onPongTimeout");
      abort("no echo");
    };
    const beat = () => {
      asking = 0; // that echo would have come by now
      ahead = Math.min(sent - before, HIDDEN);
      before = sent;
      hasMoved(0); // what did before is no sign
      return transmit(pingText);
    };
    _heartbeat._start(beat, noEcho, hasMoved);
    owner._entered();
  };
  const said = () => (state > State.Open ? owner._heard() : asking || enter());
  const receive = ({ data }: { data: string | ArrayBuffer }) => {
    if (!state) return;
    heard = 1;
    if (data === pingText) {
      if (asking) {
        asking = 0;
        return enter();
      }
      said();
      return _heartbeat._echoed();
    }
    const raw = typeof data === "string" ? data : new Uint8Array(data);
    const shown = _teller._fire("onMessage", raw);
    let message: Message;
    try {
      message = (codec.decode(raw) as Message | null) || {};
    } catch (error) {
      if (!shown) _teller._report(error); // else it may be of the application's own protocol
      return;
    }
    const { event, callbackId, callId, error, payload } = message;
    if (event === "$ready") return enter();
    said();
    const value = orNull(payload);
    // An answer is for the connection that the call came on; if that is gone, nobody waits for it.
    const reply: Reply = (refusal, result) => {
      const answer = refusal
        ? { callId, error: { code: refusal.code, message: refusal.message } }
        : { callId, payload: orNull(result) };
      say(answer);
    };
    if (typeof event === "string") {
      if (callId == null) _router._deliver(event, value);
      else if (typeof callId === "string") _router._deliver(event, value, reply);
    } else {
      // A late, repeated or invented answer finds nothing.
      const settle = _calls._waiting.get(callbackId!);
      if (settle) settle(error, error ? new EventError(error.code, error.message) : value);
    }
  };

  const socket = new target.WebSocket(url, target.subprotocols as string[]);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => {
    state = State.Open;
    if ((parts.subprotocol = socket.protocol) === offered.subprotocol) codec = offered;
    asking = _heartbeat._interval && transmit(pingText);
    FULL: if (ours !== undefined) asking = ours; // no echo is needed to find out
    late = after(asking ? LET_IN : LET_IN_SILENTLY, () => {
      asking = 0;
      enter();
    });
    owner._opened();
  };
  FULL: if (socket.on) socket.on("upgrade", ({ headers }) => void (ours = "crosswire" in headers));
  socket.onmessage = receive;
  socket.onerror = (event) => {
    FULL: why = event.message || why; // a browser tells nobody why an attempt failed
    if (!state) end(); // nothing else comes of an attempt that fails on Node.js 22, and where WebKit forbids the port
  };
  socket.onclose = ({ code, reason }) => {
    FULL: code = code || ABNORMAL; // Deno says 0 where no code came
    if (code === ABNORMAL) end();
    else end(reason || "", code);
  };

  const session: Session = {
    _send(message, gently) {
      // A browser sends what was given to a connection that is dropped for it, and the rest comes on the next one.
      FULL: if (gently && socket.bufferedAmount > OUTBOX / 2) {
        late = after(DRAIN, () => parts._flush());
        return false;
      }
      return say(message);
    },
    _close({ code, reason }) {
      abort(reason, code);
      return new Promise((resolve) => {
        closed = resolve;
        late = after(CLOSE_TIMEOUT, () => {
          FULL: cut();
          resolve();
        });
      });
    },
    _abort: abort,
  };
  return session;
}

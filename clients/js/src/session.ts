import type { Calls } from "./calls.js";
import { ABNORMAL, type Close } from "./close.js";
import { EventError } from "./errors.js";
import type { Heartbeat } from "./heartbeat.js";
import type { Teller } from "./hooks.js";
import { type Codec, decode, encode, type Encoded, JSON_CODEC, orNull } from "./messages.js";
import type { Reply, Router } from "./router.js";
import { after } from "./timers.js";
import type { WebSocketClass } from "./websocket.js";

/** Bytes that may wait for a server that does not read fast enough; over it the connection is dropped. */
const OUTBOX = 2 ** 24; // 16 MiB

/** Seconds to wait for the server's part of the closing handshake; then the connection counts as gone. */
const CLOSE_TIMEOUT = 5;

/** Seconds for the server's own, counted from a heartbeat it did not echo. More than WebSockets wait themselves, if they do. */
const CLOSING_TIMEOUT = 60;

/** A WebSocket's `readyState` when it can send; the later ones are that it is closing, or closed. */
const OPEN = 1;

/** Where to connect, and what to speak there. */
export interface Target {
  readonly url: string;
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
}

/** Who wants to know that a session begins and ends. */
export interface SessionOwner {
  _opened(): void;
  /** The connection is gone, or could not be made. */
  _ended(session: Session, close: Close, why: string): void;
}

/** One connection, from the attempt to its end. */
export interface Session {
  /** Send a message, or return false if that can't be done now; throws InvalidPayload. */
  _send(message: unknown): boolean;
  /** Start the closing handshake; resolves when it is done. What waits for an answer fails now, and nothing more is sent or received. */
  _close(code: number, reason: string): Promise<void>;
  /**
   * As `_close`, but the connection counts as gone at once. The handshake goes on alone; without a code there is none,
   * where the WebSocket can be cut off: most can't.
   */
  _abort(reason: string, code?: number): void;
}

/** Begin to connect; throws what the WebSocket's constructor throws. */
export function openSession(owner: SessionOwner, target: Target, parts: Parts): Session {
  const { codec: offered, pingText } = target;
  const { _router, _calls, _heartbeat, _teller } = parts;
  let codec = JSON_CODEC;
  let open = false;
  let why = "the connection was lost";
  let gone: (() => void) | undefined;
  let late: ReturnType<typeof after> | undefined;

  const leave = (reason: string) => {
    clearTimeout(late);
    if (!open) return;
    open = false;
    _heartbeat._stop();
    _calls._lost(reason);
  };
  const end = (reason = why, code = ABNORMAL) => {
    if (gone) gone();
    socket.onopen = null; // what was given up may still open
    const lost = `the connection was lost (${code} ${reason})`;
    leave(lost);
    owner._ended(session, { code, reason }, lost);
  };
  // From the server's Close frame until `onclose`, a WebSocket discards what it is given and says nothing.
  const canSend = () => open && socket.readyState <= OPEN;
  const transmit = (encoded: Encoded) => {
    if (!canSend()) return false;
    if (socket.bufferedAmount > OUTBOX) abort("outbox full");
    else socket.send(encoded);
    return open;
  };
  const abort = (reason: string, code?: number) => {
    leave(reason);
    end(reason, code); // first: Node's own WebSocket tells of its end while it is being closed
    if (code) socket.close(code, reason);
    // The package `ws` would wait for the server's part of the handshake, and keep the process alive for 30 seconds.
    else if (socket.terminate) socket.terminate();
    else socket.close();
  };
  const receive = (raw: Encoded) => {
    if (!open) return;
    if (raw === pingText) return _heartbeat._echoed();
    _teller._fire(_teller._hooks.onMessage, raw);
    const { event, callbackId, callId, error, payload } = decode(codec, raw);
    const data = orNull(payload);
    // An answer is for the connection that the call came on; if that is gone, nobody waits for it.
    const reply: Reply = (refusal, value) => {
      const answer = refusal
        ? { callId, error: { code: refusal.code, message: refusal.message } }
        : { callId, payload: orNull(value) };
      transmit(encode(codec, answer));
    };
    if (typeof event === "string") {
      if (callId == null) _router._deliver(event, data);
      else if (typeof callId === "string") _router._deliver(event, data, reply);
    } else if (callbackId) _calls._settle(callbackId, error, error ? new EventError(error.code, error.message) : data);
  };

  const socket = new target.WebSocket(target.url, target.subprotocols as string[]);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => {
    open = true;
    if (socket.protocol === offered.subprotocol) codec = offered;
    const noEcho = () => {
      // How it ends was decided by the server, if that ever happens.
      if (!canSend()) return void (late = after(CLOSING_TIMEOUT, end));
      _teller._fire(_teller._hooks.onPongTimeout);
      abort("no heartbeat");
    };
    _heartbeat._start(() => transmit(pingText), noEcho);
    owner._opened();
  };
  socket.onmessage = ({ data }) => receive(typeof data === "string" ? data : new Uint8Array(data));
  socket.onerror = ({ message }) => {
    why = message || why; // a browser tells nobody why an attempt failed; Node.js does
    if (!open) end(); // nothing else comes of an attempt that fails on Node.js 22, and where WebKit forbids the port
  };
  // Deno says 0 where no code came.
  socket.onclose = ({ code, reason }) => (code && code !== ABNORMAL ? end(reason || "", code) : end());

  const session: Session = {
    _send: (message) => transmit(encode(codec, message)),
    _close(code, reason) {
      leave(reason);
      return new Promise((resolve) => {
        gone = resolve;
        late = after(CLOSE_TIMEOUT, () => abort(reason));
        socket.close(code, reason);
      });
    },
    _abort: abort,
  };
  return session;
}

import type { Calls } from "./calls.js";
import { ABNORMAL, type Close } from "./close.js";
import { EventError, NotConnected } from "./errors.js";
import type { Heartbeat } from "./heartbeat.js";
import type { HookCaller } from "./hooks.js";
import { type Codec, encode, type Encoded, JSON_CODEC, type Message, orNull } from "./messages.js";
import type { Reply, Router } from "./router.js";
import { after } from "./timers.js";
import type { WebSocketClass } from "./websocket.js";

/** Bytes that may wait for a server that does not read fast enough; over it the connection is dropped. */
const MAX_OUTBOX = 2 ** 24; // 16 MiB

/**
 * Bytes a second of the slowest network. Bytes sent before a heartbeat may still be in the buffers of the operating system,
 * which nobody can see: the echo has the time that they may take.
 */
const SLOWEST_RATE = 2 ** 14;
/** Bytes in the largest of these buffers: 64 seconds at that rate. */
const MAX_SYSTEM_BUFFER = 2 ** 20;

/** Seconds between two checks whether half of `MAX_OUTBOX` is free: a WebSocket has no event for that. */
const DRAIN_INTERVAL = 0.1;

/**
 * Seconds after which the client counts as let in. Before that, an original server has echoed the first heartbeat, and a
 * Crosswire server has sent `$ready` or closed the connection.
 */
const ASSUME_READY_AFTER = 12;
/** Seconds after which the client counts as let in without heartbeats, where a server may have nothing to send. */
const ASSUME_READY_AFTER_SILENCE = 1;

/** Seconds to wait for the server's part of the closing handshake; then the connection counts as gone. */
const CLOSE_TIMEOUT = 5;

/**
 * Seconds that a closing handshake begun by the server may take after a heartbeat without an echo: longer than WebSockets
 * wait themselves, if they do.
 */
const SERVER_CLOSE_TIMEOUT = 60;

/** A WebSocket's `readyState` when it can send. */
const OPEN = 1;

/** The options that a session needs. */
export interface Target {
  readonly subprotocols: readonly string[];
  /** Used if the server agrees to its subprotocol, else JSON. */
  readonly codec: Codec;
  readonly pingText: string;
  readonly WebSocket: WebSocketClass;
}

/** The parts of its client that a session uses. */
export interface SessionParts {
  readonly _router: Router;
  readonly _calls: Calls;
  readonly _heartbeat: Heartbeat;
  readonly _hookCaller: HookCaller;
  subprotocol: string | undefined;
  /** Send the queued messages. */
  _flush(): void;
}

/** Callbacks for the life of a session. */
export interface SessionEvents {
  _opened(): void;
  /** The server has let the client in, or probably has. */
  _letIn(): void;
  /** A message has come after `_letIn`: the connection works, so the delays of reconnection start anew. */
  _stable(): void;
  /** The connection is gone, or the attempt failed. */
  _closed(session: Session, close: Close): void;
}

/** One connection, from the attempt to its end. */
export interface Session {
  /**
   * Send a message, and return true; return a false value if it can't be sent now. Throws InvalidPayload. With `gently`
   * it is not sent while half of `MAX_OUTBOX` is in use, and `_flush` of the parts is called when it may be tried again.
   */
  _send(message: unknown, gently?: boolean): unknown;
  /** Start the closing handshake; resolves when it is done. Calls fail now, and nothing more is sent or received. */
  _close(close: Close): Promise<void>;
  /**
   * As `_close`, but the connection counts as gone at once, while the handshake goes on. Without a code the connection
   * is cut off, if the WebSocket can do that.
   */
  _abort(reason: string, code?: number): void;
}

/** Away: not open yet, or no longer in use. Open: in use. Ready: in use, and the server has let the client in. */
const enum State {
  Away,
  Open,
  Ready,
}

/** Begin to connect; throws what the WebSocket's constructor throws. */
export function openSession(owner: SessionEvents, url: string, target: Target, parts: SessionParts): Session {
  const { codec: offered, pingText } = target;
  const { _router, _calls, _heartbeat, _hookCaller } = parts;
  let codec = JSON_CODEC;
  let state = State.Away;
  let ours: boolean | undefined; // whether the server sends $ready; undefined if the WebSocket does not show the server's header
  let asking: unknown; // waiting for the first heartbeat's echo or for $ready: the client is then let in
  let heard: unknown; // whether a message came since the last check
  let sent = 0; // bytes in all, each character of a text counted as one
  let gone = 0; // bytes that had left the WebSocket at the last check
  let read = 0; // bytes that had come at the last check
  let before = 0; // bytes sent before the last heartbeat
  let ahead = 0; // bytes of these that may still be in the buffers of the system
  let why = "lost";
  let closed: (() => void) | undefined;
  let late: ReturnType<typeof after> | undefined;

  const end = (reason = why, code = ABNORMAL) => {
    const close = { code, reason };
    if (closed) closed();
    socket.onopen = null; // an attempt that was given up may still open
    clearTimeout(late);
    if (state) {
      state = State.Away;
      _heartbeat._stop();
      const lost = new NotConnected(close);
      _calls._waiting.forEach((settle) => settle(1, lost));
    }
    owner._closed(session, close);
  };
  // From the server's Close frame until `onclose`, a WebSocket discards what it is given and says nothing.
  const canSend = () => socket.readyState === OPEN;
  /** Whether bytes came or went since the last check, `seconds` ago, or may still be in the buffers of the system. */
  const hasMoved = (seconds: number) => {
    const { bufferedAmount } = socket;
    const left = sent - bufferedAmount;
    // Bytes that have left the WebSocket may still be in the buffers of the system.
    const result = heard || (bufferedAmount && left > gone) || (ahead -= SLOWEST_RATE * seconds) > 0;
    heard = 0;
    gone = left;
    FULL: if (socket._socket) {
      const { bytesRead } = socket._socket; // counts bytes of incomplete messages too
      if (bytesRead > read) return (read = bytesRead);
    }
    return result;
  };
  const transmit = (encoded: Encoded) => {
    if (!canSend()) return;
    if (socket.bufferedAmount > MAX_OUTBOX) return abort("outbox full");
    socket.send(encoded);
    sent += encoded.length;
    return true;
  };
  const sendMessage = (message: unknown) => transmit(encode(codec, message));
  // The package `ws` would wait for the server's part of the handshake, and keep the process alive for 30 seconds.
  const cut = () => {
    if (socket.terminate) socket.terminate();
  };
  const abort = (reason: string, code?: number) => {
    end(reason, code); // first: Node's own WebSocket fires its events while it is being closed
    FULL: if (!code) cut();
    socket.close(code, code ? reason : undefined);
  };
  const enter = () => {
    if (state !== State.Open) return;
    state = State.Ready;
    clearTimeout(late);
    const noEcho = () => {
      // The server has begun to close: wait for its end of the connection.
      if (!canSend()) return void (late = after(SERVER_CLOSE_TIMEOUT, end));
      _hookCaller._fire("onPongTimeout");
      abort("no echo");
    };
    const beat = () => {
      asking = 0; // the first echo would have come by now
      ahead = Math.min(sent - before, MAX_SYSTEM_BUFFER);
      before = sent;
      hasMoved(0); // bytes that moved before are no sign of life
      return transmit(pingText);
    };
    _heartbeat._start(beat, noEcho, hasMoved);
    owner._letIn();
  };
  const messageCame = () => (state > State.Open ? owner._stable() : asking || enter());
  const receive = ({ data }: { data: string | ArrayBuffer }) => {
    if (!state) return;
    heard = 1;
    if (data === pingText) {
      if (asking) {
        asking = 0;
        return enter();
      }
      messageCame();
      return _heartbeat._echoed();
    }
    const raw = typeof data === "string" ? data : new Uint8Array(data);
    const shown = _hookCaller._fire("onMessage", raw);
    let message: Message;
    try {
      message = (codec.decode(raw) as Message | null) || {};
    } catch (error) {
      if (!shown) _hookCaller._report(error); // else it may be a message of the application's own protocol
      return;
    }
    const { event, callbackId, callId, error, payload, at } = message;
    if (event === "$ready") return enter();
    messageCame();
    const value = orNull(payload);
    // An answer is sent on the connection that the call came on; if it is gone, nobody waits for the answer.
    const reply: Reply = (refusal, result) => {
      sendMessage(
        refusal
          ? { callId, error: { code: refusal.code, message: refusal.message } }
          : { callId, payload: orNull(result) },
      );
    };
    if (typeof event === "string") {
      if (callId == null) _router._deliver(event, value, at);
      else if (typeof callId === "string") _router._deliver(event, value, at, reply);
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
    FULL: if (ours !== undefined) asking = ours; // known from the answer to the upgrade
    late = after(asking ? ASSUME_READY_AFTER : ASSUME_READY_AFTER_SILENCE, () => {
      asking = 0;
      enter();
    });
    owner._opened();
  };
  FULL: if (socket.on) socket.on("upgrade", ({ headers }) => void (ours = "crosswire" in headers));
  socket.onmessage = receive;
  socket.onerror = (event) => {
    FULL: why = event.message || why; // browsers do not say why an attempt failed
    if (!state) end(); // no close event follows on Node.js 22, and where WebKit forbids the port
  };
  socket.onclose = ({ code, reason }) => {
    FULL: code = code || ABNORMAL; // Deno has 0 where no code came
    if (code === ABNORMAL) end();
    else end(reason || "", code);
  };

  const session: Session = {
    _send(message, gently) {
      // In the script, a full outbox drops the connection, and the rest is sent on the next one.
      FULL: if (gently && socket.bufferedAmount > MAX_OUTBOX / 2) {
        late = after(DRAIN_INTERVAL, () => parts._flush());
        return false;
      }
      return sendMessage(message);
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

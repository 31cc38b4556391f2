import { type Given, given } from "./address.js";
import { makeCalls } from "./calls.js";
import type { Answer, AnyEvents, Handler, Name, WithData } from "./events.js";
import { type Heartbeat, makeHeartbeat } from "./heartbeat.js";
import { type Hooks, makeHookCaller } from "./hooks.js";
import { type ListenOptions, makeListeners, type Tag } from "./listeners.js";
import { type Message, orNull, requireEvent } from "./messages.js";
import { checked, type Options, requireNumber, type Settings } from "./options.js";
import { isHidden, watchPage } from "./page.js";
import { makeQueue } from "./queue.js";
import { makeReconnection, type Reconnection, type ReconnectionCallbacks } from "./reconnection.js";
import { makeRetries } from "./retries.js";
import { makeRooms } from "./rooms.js";
import { makeRouter, type Router } from "./router.js";
import { openSession } from "./session.js";

/** The options of one call. Times are seconds. */
export interface CallOptions {
  /** Seconds to wait for the answer, or Infinity. Default: the client's `callTimeout`. */
  timeout?: number | undefined;
  /** Called once if no answer came within `pendingAfter`. */
  onPending?: (() => unknown) | undefined;
  pendingAfter?: number | undefined;
  /** Stops waiting; the promise is rejected with the signal's reason. The call may still be carried out. */
  signal?: AbortSignal | undefined;
}

/**
 * A connection to a Crosswire server that comes back when it is lost.
 *
 *     const client = new Client<ServerEvents, ClientEvents>("wss://example.com/chat", { params: { id: "13" } });
 *     client.on("news", ({ text }) => show(text));
 *     await client.connect();
 *     const answer = await client.call("say", { msg: "hello" });
 *
 * Errors of handlers go to `onError`, or to the console if `onError` has no handler.
 */
export class Client<ServerEvents extends object = AnyEvents, ClientEvents extends object = AnyEvents> implements Hooks {
  readonly onOpen: Hooks["onOpen"] = makeListeners();
  readonly onClose: Hooks["onClose"] = makeListeners();
  readonly onError: Hooks["onError"] = makeListeners();
  readonly onMessage: Hooks["onMessage"] = makeListeners();
  readonly onPing: Hooks["onPing"] = makeListeners();
  readonly onPong: Hooks["onPong"] = makeListeners();
  readonly onPongTimeout: Hooks["onPongTimeout"] = makeListeners();
  readonly onReconnect: Hooks["onReconnect"] = makeListeners();
  readonly onGiveUp: Hooks["onGiveUp"] = makeListeners();
  readonly onRoom: Hooks["onRoom"] = makeListeners();

  /** The subprotocol that the server chose for the last connection; "" for none, undefined before the first connection. */
  declare readonly subprotocol: string | undefined;

  private readonly _settings: Settings;
  /** @internal */ readonly _hookCaller = makeHookCaller(this);
  /** @internal */ readonly _router: Router;
  /** @internal */ readonly _calls = makeCalls();
  private readonly _queue: ReturnType<typeof makeQueue>;
  /** @internal */ readonly _heartbeat: Heartbeat;
  private readonly _reconnection: Reconnection;

  /**
   * @param url `ws://` or `wss://`; a query that it has is kept. Or a function that returns it, or a promise of it, called
   *   before each attempt
   * @throws ConfigError an option can't be used
   */
  constructor(url: Given<string>, options: Options = {}) {
    const settings = (this._settings = checked(url, options));
    const rooms = makeRooms(this._hookCaller, settings.resume && `crosswire ${url}`.split("?")[0]);
    const router = (this._router = makeRouter(this._hookCaller, rooms));
    router._of("$room", 1)(rooms._changed);
    router._of("$left", 1)(rooms._changed);
    this._queue = makeQueue(settings);
    this._heartbeat = makeHeartbeat(settings, this._hookCaller);
    // The token of the connection expires: the server asks for the parameters of the next one.
    if (typeof options.params === "function") router._of("$renew", 1)(() => given(options.params));
    const retries = makeRetries(settings, settings.retryLimit, Math.random);
    const tell = (event: string) => {
      if (settings.backgroundNotice !== false) connection._send({ event, payload: null }); // never queued
    };
    const wake = () => {
      this._heartbeat._probe();
      connection._wake();
    };
    const turned = () => {
      tell(`$${isHidden() ? "back" : "fore"}ground`);
      rooms._keep(isHidden());
      if (!isHidden()) wake();
    };
    const callbacks: ReconnectionCallbacks = {
      _dial: (owner, url) => openSession(owner, url + rooms._offer(), settings, this),
      _wanted: (wanted) => {
        watchPage(wanted, wake, turned);
        rooms._keep(!wanted);
      },
      _ready: () => {
        if (isHidden()) tell("$background");
        this._flush();
      },
    };
    const connection = makeReconnection(callbacks, settings, retries, this._hookCaller);
    this._reconnection = connection;
  }

  /**
   * Resolves when the server has let the client in: at once if it has. A server that can't be reached is tried again as after
   * a loss. If the server closed with 4013 and the page is hidden, it waits until the page is shown; `reconnect` does not. An
   * original server sends no message when it lets a client in: the echo of the first heartbeat counts as that, or without
   * heartbeats its first message, or a second without a close.
   *
   * Rejected with Refused when the server closed the connection instead, and the policy forbids another attempt; with
   * NotConnected when `retryLimit` was reached, an attempt failed and the policy forbids another one, or `close` was called.
   */
  connect(): Promise<void> {
    return this._reconnection._connect();
  }

  /**
   * Close the connection with code 4001, or end the attempts; may be called at any time and again. Calls that wait fail at
   * once, and queued messages are dropped. Resolves when nothing is left, after 5 seconds at most. The client may be connected
   * again.
   */
  close(): Promise<void> {
    this._queue._clear();
    this._router._running.clear();
    return this._reconnection._stop();
  }

  /**
   * Drop the connection, if there is one, and connect anew at once, whatever the policy and the limit say.
   *
   * @param reset count attempts from 0 again
   */
  reconnect(reset?: boolean): void {
    this._reconnection._retryNow(reset);
  }

  /** Whether the connection was lost and the client is trying to get it back. */
  get reconnecting(): boolean {
    return this._reconnection._reconnecting();
  }

  /** Seconds between two heartbeats, or null for none; a new value takes effect at once. */
  get pingInterval(): number | null {
    return this._heartbeat._interval;
  }

  set pingInterval(seconds: number | null) {
    this._heartbeat._every(seconds === null ? null : requireNumber("pingInterval", seconds));
  }

  /** Milliseconds that the last heartbeat of this connection took, there and back; null before the first. */
  get latency(): number | null {
    return this._heartbeat._latency;
  }

  /**
   * Send an event, without waiting for anything. Half of a surrogate pair in a text is sent as U+FFFD.
   *
   * @throws NotConnected there is no open connection, and no room in the queue
   * @throws InvalidPayload the data can't be encoded
   * @throws UsageError the name can't be used
   */
  send<E extends Name<ClientEvents>>(event: E, ...[data]: WithData<ClientEvents[E]>): void {
    this._hand({ event: requireEvent(event), payload: orNull(data) });
  }

  /**
   * Ask the server; resolves to its answer.
   *
   * Rejected with EventError if the server refused, CallTimeout if no answer came in time, NotConnected if there is no
   * open connection or it was lost, and with the errors that `send` throws.
   */
  async call<E extends Name<ClientEvents>>(
    event: E,
    ...[data, options = {}]: WithData<ClientEvents[E], [options?: CallOptions]>
  ): Promise<Answer<ClientEvents[E]>> {
    const { callTimeout, pendingAfter: usual } = this._settings;
    const { timeout = callTimeout, pendingAfter = usual, onPending, signal } = options;
    requireEvent(event);
    FULL: if (timeout !== Infinity) requireNumber("timeout", timeout);
    FULL: requireNumber("pendingAfter", pendingAfter);
    const send = (callbackId: string) => this._hand({ event, payload: orNull(data), callbackId });
    const pending = () => onPending && this._hookCaller._call(onPending);
    const answer = this._calls._call(send, timeout, pending, pendingAfter, signal);
    return answer as Promise<Answer<ClientEvents[E]>>;
  }

  /** Add a handler for an event; several are called in the order they were added. Returns a function that removes it. */
  on<E extends Name<ServerEvents>>(event: E, handler: Handler<ServerEvents[E]>, options?: ListenOptions): () => void {
    return this._router._of(event)(handler, options);
  }

  /** As `on`, for the next event only. */
  once<E extends Name<ServerEvents>>(event: E, handler: Handler<ServerEvents[E]>, options?: ListenOptions): () => void {
    return this.on(event, handler, { ...options, once: true });
  }

  /** Remove handlers of an event: the given handler, the handlers with the given tag, or all. */
  off<E extends Name<ServerEvents>>(event: E, handlerOrTag?: Handler<ServerEvents[E]> | Tag): void {
    this._router._of(event).off(handlerOrTag);
  }

  /** Send a message now, or queue it behind queued messages. A call is never queued, and is sent after queued messages. */
  private _hand(message: Message): void {
    const { _queue, _reconnection, _settings } = this;
    const traceparent = _settings.traceparent && _settings.traceparent();
    if (traceparent) message.traceparent = traceparent;
    const call = message.callbackId;
    if (call) this._flush(call);
    if ((call || !_queue._waits()) && _reconnection._send(message, call)) return;
    if (call || !_queue._add(message)) throw _reconnection._missing();
  }

  /** Send the queued messages, as many as the connection takes. */
  /** @internal */ _flush(early?: string): void {
    this._queue._flush((message) => this._reconnection._send(message, early, true), this._hookCaller._call);
  }
}

// A Crosswire client for the browser in one small file: events, calls in both directions, a heartbeat with its latency,
// and reconnection. Every message is one text frame of JSON; the heartbeat is an empty one, which the server echoes.

const PING_EVERY = 5_000;
const PONG_WITHIN = 3_000;
const CALL_TIMEOUT = 5_000;
const FAST_RETRIES = 3;
const FAST_INTERVAL = 1_500;
const MAX_INTERVAL = 20_000;

// The server does not want us back after these: policy, closed by ourselves, logged out, not let in, replaced.
const FINAL = new Set([1008, 4001, 4010, 4011, 4012]);

export class Refused extends Error {
  constructor({ code, message }) {
    super(message || code);
    this.code = code;
  }
}

export class Connection {
  #address;
  #on;
  #socket = null;
  #attempt = 0;
  #retry = 0;
  #heartbeat = 0;
  #pongTimer = 0;
  #pinged = 0;
  #lastId = 0;
  #calls = new Map();

  /**
   * @param address gives the ws:// or wss:// URL for the next attempt; it may be another server every time
   * @param on what to call: opened(), closed({code, reason, again}), waiting(milliseconds, attempt), event(name, data),
   *   asked(name, data) whose result or promise is the answer, latency(milliseconds), wire(direction, text)
   */
  constructor(address, on) {
    this.#address = address;
    this.#on = on;
    this.wake = () => this.#retry && this.#connect();
    addEventListener("online", this.wake);
    document.addEventListener("visibilitychange", this.wake);
    this.#connect();
  }

  send(event, payload) {
    this.#write({ event, payload });
  }

  /** Ask the server; resolves to its answer, rejects with Refused or another Error. */
  call(event, payload, timeout = CALL_TIMEOUT) {
    return new Promise((resolve, reject) => {
      const callbackId = String(++this.#lastId);
      const late = () => this.#settle(callbackId, { reject: new Error("The server did not answer.") });
      const timer = setTimeout(late, timeout);
      this.#calls.set(callbackId, { resolve, reject, timer });
      if (!this.#write({ event, payload, callbackId })) {
        this.#settle(callbackId, { reject: new Error("Not connected.") });
      }
    });
  }

  close() {
    this.#lost(4001, "closed by the client");
  }

  #connect() {
    clearTimeout(this.#retry);
    this.#retry = 0;
    const socket = (this.#socket = new WebSocket(this.#address()));
    const current = (handler) => (event) => socket === this.#socket && handler(event);
    socket.onopen = current(() => {
      this.#attempt = 0;
      this.#heartbeat = setInterval(() => this.#ping(), PING_EVERY);
      this.#on.opened();
      this.#ping();
    });
    socket.onmessage = current((event) => this.#receive(event.data));
    socket.onclose = current((event) => this.#lost(event.code, event.reason));
  }

  /** The connection is gone, or given up. All that waited for an answer is told, and the next attempt is planned. */
  #lost(code, reason) {
    const socket = this.#socket;
    this.#socket = null;
    clearInterval(this.#heartbeat);
    clearTimeout(this.#pongTimer);
    clearTimeout(this.#retry);
    this.#retry = this.#pongTimer = 0;
    socket?.close(code >= 3000 ? code : 1000, reason);
    for (const id of [...this.#calls.keys()]) this.#settle(id, { reject: new Error("The connection was lost.") });
    const again = !FINAL.has(code);
    if (!again) {
      removeEventListener("online", this.wake);
      document.removeEventListener("visibilitychange", this.wake);
    }
    this.#on.closed({ code, reason, again });
    if (!again) return;
    // Some quick attempts, then ever rarer ones; each at a random moment, so that a thousand pages don't come together.
    this.#attempt += 1;
    const longest = Math.min(FAST_INTERVAL * 2 ** Math.max(this.#attempt - FAST_RETRIES, 0), MAX_INTERVAL);
    const delay = Math.random() * longest;
    this.#retry = setTimeout(() => this.#connect(), delay);
    this.#on.waiting(delay, this.#attempt);
  }

  #ping() {
    if (this.#pongTimer || !this.#frame("")) return;
    this.#pinged = performance.now();
    this.#pongTimer = setTimeout(() => this.#lost(1006, "no answer to a heartbeat"), PONG_WITHIN);
  }

  #receive(text) {
    this.#on.wire("in", text);
    if (text === "") {
      clearTimeout(this.#pongTimer);
      this.#pongTimer = 0;
      this.#on.latency(performance.now() - this.#pinged);
      return;
    }
    const message = JSON.parse(text);
    if (message.callbackId !== undefined) {
      const { payload, error } = message;
      this.#settle(message.callbackId, error ? { reject: new Refused(error) } : { resolve: payload });
    } else if (message.callId !== undefined) {
      this.#answer(message);
    } else {
      this.#on.event(message.event, message.payload);
    }
  }

  /** The server called us. */
  async #answer({ event, payload, callId }) {
    const socket = this.#socket;
    let answer;
    try {
      answer = { callId, payload: (await this.#on.asked(event, payload)) ?? null };
    } catch (error) {
      answer = { callId, error: { code: "HANDLER_ERROR", message: String(error.message) } };
    }
    if (socket === this.#socket) this.#write(answer);
  }

  #settle(id, { resolve, reject }) {
    const call = this.#calls.get(id);
    if (!call) return;
    this.#calls.delete(id);
    clearTimeout(call.timer);
    if (reject) call.reject(reject);
    else call.resolve(resolve);
  }

  #write(message) {
    return this.#frame(JSON.stringify(message));
  }

  #frame(text) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(text);
    this.#on.wire("out", text);
    return true;
  }
}

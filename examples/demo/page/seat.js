// A client with a home node. When that is gone, it connects to another node, and returns home when it can. It is one
// client for all nodes: so it remembers its positions in rooms, and gets from the next node what it missed.

const { Client, NotConnected, reconnectsUnlessFinal } = window.Crosswire;

const AWAY = 4_000; // milliseconds before it may return home; by then a dead node is known to be dead
const LONGEST_DELAY = 5_000;

export class Seat {
  #cluster;
  #on;
  #client = null;
  #retry = 0;
  #attempts = 0;
  #current = null; // the attempt or connection that counts; what comes of an earlier one is ignored
  #lostAt = 0;
  isOpen = false;
  node = ""; // the node that it is connected to, or tries to be
  home = "";

  /**
   * @param name name of the user
   * @param key proves, after a loss of the connection, that the name is ours
   * @param cluster knows the URLs of the nodes
   * @param on callbacks: connecting(), opened(), closed({code, reason, again}), latency(milliseconds), room(state),
   *   wire(direction, text); and `events`, an object of handlers by event
   */
  constructor(name, key, cluster, on) {
    this.name = name;
    this.key = key;
    this.#cluster = cluster;
    this.#on = on;
  }

  connect(node = this.home) {
    clearTimeout(this.#retry);
    this.node = node;
    this.isOpen = false;
    this.#client ??= this.#makeClient();
    this.#client.close();
    this.#on.connecting();
    const attempt = (this.#current = {});
    this.#client.connect().catch(({ message }) => {
      if (attempt === this.#current) this.#ended({ code: 1006, reason: message });
    });
  }

  /** Disconnects, until `connect` is called again. */
  leave() {
    clearTimeout(this.#retry);
    this.#ended({ code: 4001, reason: "" });
    this.#client?.close();
  }

  call(event, data) {
    if (!this.isOpen) return Promise.reject(new NotConnected());
    return this.#client.call(event, data);
  }

  /** Returns to the home node, if it is up again. */
  comeHome() {
    const away = this.isOpen && this.node !== this.home && performance.now() - this.#lostAt > AWAY;
    if (away && this.#cluster.isUp(this.home)) this.connect();
  }

  #makeClient() {
    const { wire, latency, room, events } = this.#on;
    const client = new Client(this.#cluster.url(this.home), {
      params: () => ({ name: this.name, key: this.key }),
      pingInterval: 1,
      pongTimeout: 3,
      reconnectPolicy: () => false, // reconnect to the next node, not to the same
      backgroundNotice: false, // a demo may go on behind other windows
      WebSocket: tapped(() => this.#cluster.url(this.node), wire),
    });
    client.onOpen(() => this.#opened());
    client.onClose((close) => this.isOpen && this.#ended(close));
    client.onError((error) => error instanceof NotConnected || console.error(error));
    client.onPong(latency);
    client.onRoom(room);
    client.onMessage((raw) => wire("in", raw));
    for (const [event, handler] of Object.entries(events)) client.on(event, handler);
    return client;
  }

  #opened() {
    this.isOpen = true;
    this.#attempts = 0;
    this.#on.opened();
  }

  #ended({ code, reason }) {
    const again = reconnectsUnlessFinal({ code, reason });
    this.#current = null;
    this.isOpen = false;
    if (again && this.node === this.home) this.#lostAt = performance.now();
    if (again) this.#goOn();
    this.#on.closed({ code, reason, again });
  }

  /** Tries the next node, after a random delay: clients that were lost together must not reconnect together. */
  #goOn() {
    this.#attempts += 1;
    this.node = this.#cluster.after(this.node);
    const longest = Math.min(100 * 2 ** this.#attempts, LONGEST_DELAY);
    this.#retry = setTimeout(() => this.connect(this.node), Math.random() * longest);
  }
}

/**
 * The browser's WebSocket, which connects to the node of the moment. It has a callback for sent frames; for received ones
 * the client has its own.
 */
function tapped(place, wire) {
  return class extends WebSocket {
    constructor(url, protocols) {
      super(place() + new URL(url).search, protocols);
    }

    send(data) {
      super.send(data);
      wire("out", data);
    }
  };
}

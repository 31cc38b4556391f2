import { Client } from "../../src/client.js";
import type { Options } from "../../src/options.js";

/** A WebSocket without a network: the test is its server. */
export class FakeSocket {
  binaryType = "blob";
  protocol = "";
  bufferedAmount = 0;
  readyState = 0;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onerror: ((event: { message?: string }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  readonly sent: unknown[] = [];
  readonly closes: [code: number | undefined, reason: string | undefined][] = [];

  constructor(
    readonly url: string,
    readonly protocols: string[] = [],
  ) {}

  send(data: unknown): void {
    this.sent.push(data);
  }

  close(...how: [code?: number, reason?: string]): void {
    const [code, reason] = how;
    if (code !== undefined && code !== 1000 && !(code! >= 3000 && code! <= 4999))
      throw new Error(`${code} is not for sending`);
    this.readyState = 2;
    this.closes.push([code, reason]);
  }

  open(protocol = ""): void {
    this.protocol = protocol;
    this.readyState = 1;
    this.onopen?.();
  }

  /** The server has let the client in. */
  ready(): void {
    this.receive('{"event":"$ready"}');
  }

  receive(data: unknown): void {
    this.onmessage!({ data });
  }

  /** The server's Close frame is here, the end of the connection is not. */
  closing(): void {
    this.readyState = 2;
  }

  end(code = 1006, reason = ""): void {
    this.readyState = 3;
    this.onclose!({ code, reason });
  }
}

/** A client whose sockets are fake, and all that it tells. */
export function fakeClient(options: Options = {}) {
  const sockets: FakeSocket[] = [];
  const events: unknown[] = [];
  const WebSocket = class extends FakeSocket {
    constructor(url: string, protocols?: string[]) {
      super(url, protocols);
      sockets.push(this);
    }
  };
  const client = new Client("ws://test", { pingInterval: null, ...options, WebSocket });
  client.onOpen(() => events.push("open"));
  client.onClose(({ code }) => events.push(["close", code, client.reconnecting]));
  client.onError((error) => events.push(["error", `${error}`]));
  client.onReconnect((attempt, delay) => events.push(["reconnect", attempt, delay]));
  client.onGiveUp((limit) => events.push(["give up", limit]));
  client.onPongTimeout(() => events.push("pong timeout"));
  return { client, sockets, events, last: () => sockets[sockets.length - 1] };
}

/** What was told since the last look. */
export function take<T>(list: T[]): T[] {
  return list.splice(0);
}

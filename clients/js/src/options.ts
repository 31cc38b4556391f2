import { type Given, makeAddress } from "./address.js";
import { type Policy, reconnectsUnlessFinal } from "./close.js";
import { ConfigError } from "./errors.js";
import { type Codec, JSON_CODEC } from "./messages.js";
import type { QueuePolicy } from "./queue.js";
import type { Params } from "./url.js";
import type { WebSocketClass } from "./websocket.js";

/** The options of a client. Times are seconds. */
export interface Options {
  /**
   * Added to the query, such as `{ id: "13" }`; an array of values repeats its name. Or a function that returns them, or a
   * promise of them, called before each attempt, as for a token that expires. If it fails, the attempt has failed. It is also
   * called when the server asks for a new token before that of the connection expires.
   */
  params?: Given<Params> | undefined;
  /** Offered to the server, the favourite first. MessagePack needs `codec`, which offers its own subprotocol. */
  subprotocols?: readonly string[] | undefined;
  /** `msgpack` of `crosswire-client/msgpack`: messages travel as MessagePack if the server agrees. */
  codec?: Codec | undefined;
  /** Seconds between two heartbeats, or null for none. Default 10. */
  pingInterval?: number | null | undefined;
  /**
   * Seconds to wait for a heartbeat's echo while nothing else comes or leaves; then the connection counts as lost. A browser
   * shows a message only when it is complete: the time must be longer than the largest message takes. Default 2.
   */
  pongTimeout?: number | undefined;
  /** The heartbeat's text; it must be the server's. Default "". */
  pingText?: string | undefined;
  /** Seconds that `call` waits for an answer by default. Default 5. */
  callTimeout?: number | undefined;
  /** Seconds after which `call` calls `onPending`. Default 0.1. */
  pendingAfter?: number | undefined;
  /** Attempts that come soon after a loss. Default 3. */
  fastRetries?: number | undefined;
  /** Maximum of the delay before each of these attempts, in seconds; doubled for every later attempt. Default 3. */
  fastInterval?: number | undefined;
  /** Maximum of every delay, in seconds. A delay is drawn evenly from 0 to its maximum. Default 120. */
  maxInterval?: number | undefined;
  /** Attempts in a row, or null, the default, for no limit. A stable connection starts the count anew: see `stableAfter`. */
  retryLimit?: number | null | undefined;
  /**
   * Seconds after which a connection on which the client was let in is stable; a message makes it stable before. If it ends
   * sooner, it counts as a failed attempt. Default 5.
   */
  stableAfter?: number | undefined;
  /**
   * Decides from a `Close` whether to try again. The default does unless the code is 1008, 4001, 4010, 4011 or 4012. It is
   * asked about an attempt that failed with 1006. If it throws, there is no other attempt.
   */
  reconnectPolicy?: Policy | undefined;
  /**
   * Messages that `send` queues while the client is not let in. More than 16 MiB may need several connections. Default 0:
   * `send` throws NotConnected.
   */
  queueLimit?: number | undefined;
  /** Policy of a full queue: "refuse", the default, throws NotConnected; "drop-oldest" drops the oldest message. */
  queuePolicy?: QueuePolicy | undefined;
  /**
   * Whether to tell the server when the page is hidden. The server closes the connection with 4013 if the page stays hidden
   * longer than `Heartbeat.background`; the client comes back when the page is shown. Default true, in browsers.
   */
  backgroundNotice?: boolean | undefined;
  /**
   * Whether the positions in rooms that keep history last over a reload of the page, in its `sessionStorage`. There they belong to
   * the URL without its query: of the clients of one URL in a page, only one should have this option. Default false.
   */
  resume?: boolean | undefined;
  /**
   * Called for each event and call that is sent. Returns the place of the current span in its trace, the `traceparent` of
   * W3C Trace Context, which the message then carries; undefined for none.
   */
  traceparent?: (() => string | undefined) | undefined;
  /** The class of WebSocket to use, such as that of the package `ws`. Default: that of the platform. */
  WebSocket?: WebSocketClass | undefined;
}

/** Options that have been checked, with every default filled in, and the codec's subprotocol offered first. */
export type Settings = Readonly<Pick<Options, Unset>> &
  Filled<Omit<Options, Unset | "params">> & { readonly address: ReturnType<typeof makeAddress> };

type Filled<Some> = { readonly [Name in keyof Some]-?: Exclude<Some[Name], undefined> };

/** Options that need no default. */
type Unset = "retryLimit" | "queueLimit" | "queuePolicy" | "backgroundNotice" | "resume" | "traceparent";

const DEFAULTS = {
  codec: JSON_CODEC,
  pingInterval: 10,
  pongTimeout: 2,
  pingText: "",
  callTimeout: 5,
  pendingAfter: 0.1,
  fastRetries: 3,
  fastInterval: 3,
  maxInterval: 120,
  stableAfter: 5,
  reconnectPolicy: reconnectsUnlessFinal,
};

/** Check options when the client is made; throws ConfigError. */
export function checked(url: Given<string>, { params, ...options }: Options): Settings {
  const settings: Record<string, any> = {
    ...DEFAULTS,
    WebSocket: globalThis.WebSocket,
    address: makeAddress(url, params),
  };
  for (const name in options) {
    const value = options[name as keyof typeof options];
    if (value === undefined) continue; // an option given as undefined was not given
    if (typeof value === "number") requireNumber(name, value); // TypeScript looks after the other kinds
    settings[name] = value;
  }
  FULL: if (!settings.WebSocket) throw new ConfigError("no WebSocket");
  // Each must be well-formed and given once (RFC 6455, section 4.1), or a WebSocket would fail at every attempt.
  let offered = ([] as string[]).concat(settings.codec.subprotocol, settings.subprotocols).filter((name) => name);
  FULL: offered = [...new Set(offered)];
  FULL: if (/[^!#-'*+.\w^`|~-]/.test(offered.join(""))) throw new ConfigError(`subprotocols: ${offered} can't be used`);
  settings.subprotocols = offered;
  return settings as Settings;
}

/** Return a number if it can be used: finite, 0 or more, above 0 where 0 has no use, whole where it is a count. */
export function requireNumber(name: string, value: number): number {
  const sensible = /imeout|pingI/.test(name) ? value > 0 : !(/imit|tries/.test(name) && value % 1);
  if (value >= 0 && value < Infinity && sensible) return value;
  throw new ConfigError(`${name}: ${value} can't be used`);
}

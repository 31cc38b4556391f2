export type { Given } from "./address.js";
export { Client, type CallOptions } from "./client.js";
export { type Close, type Policy, reconnectsUnlessFinal } from "./close.js";
export {
  CallTimeout,
  ConfigError,
  CrosswireError,
  EventError,
  InvalidPayload,
  NotConnected,
  Refused,
  UsageError,
} from "./errors.js";
export type { Answer, AnyEvents, Data, Handler } from "./events.js";
export type { Hook } from "./hooks.js";
export type { ListenOptions, Tag } from "./listeners.js";
export type { Codec, Encoded } from "./messages.js";
export type { Options } from "./options.js";
export type { QueuePolicy } from "./queue.js";
export type { RoomState } from "./rooms.js";
export type { Params, ParamValue } from "./url.js";
export type { WebSocketClass, WebSocketLike } from "./websocket.js";

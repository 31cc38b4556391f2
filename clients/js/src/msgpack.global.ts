/** The script build of MessagePack: after crosswire.min.js, `new Crosswire.Client(url, { codec: Crosswire.msgpack })`. */
import { msgpack } from "./msgpack.js";

Object.assign((globalThis as unknown as { Crosswire: object }).Crosswire, { msgpack });

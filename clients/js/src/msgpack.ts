/** MessagePack, as Crosswire's servers speak it: a codec for the client's option of that name. */
import type { Codec } from "./messages.js";

/** `new Client(url, { codec: msgpack })`. Uint8Array travels as bytes and Date as a timestamp. */
export const msgpack: Codec = {
  subprotocol: "crosswire.msgpack",
  encode: (message) => new Encoder().encode(message),
  decode: (raw) => {
    if (typeof raw === "string") throw new TypeError("MessagePack comes in binary frames");
    return new Decoder(raw).message();
  },
};

const TIMESTAMP = -1;
const WORD = 2 ** 32;

class Encoder {
  private _bytes = new Uint8Array(256);
  private _view = new DataView(this._bytes.buffer);
  private _length = 0;

  encode(value: unknown): Uint8Array {
    this._value(value);
    return this._bytes.subarray(0, this._length);
  }

  private _value(value: unknown): void {
    if (value === null || value === undefined) this._byte(0xc0);
    else if (typeof value === "boolean") this._byte(value ? 0xc3 : 0xc2);
    else if (typeof value === "number") this._number(value);
    else if (typeof value === "bigint") this._bigint(value);
    else if (typeof value === "string") this._text(value);
    else if (typeof value === "object") this._object(value);
    else throw new TypeError(`a ${typeof value} can't be encoded`);
  }

  private _object(value: object): void {
    if (Array.isArray(value)) {
      this._head(value.length, 0x90, 16, [0, 0xdc, 0xdd]);
      for (const each of value) this._value(each); // of holes too, as null
    } else if (value instanceof ArrayBuffer) this._binary(new Uint8Array(value));
    else if (ArrayBuffer.isView(value)) this._binary(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
    else if (value instanceof Date) this._date(value);
    else if (value instanceof Map) this._map([...value]);
    else if (typeof (value as { toJSON?: unknown }).toJSON === "function") {
      this._value((value as { toJSON(): unknown }).toJSON());
    } else this._map(Object.entries(value).filter(([, each]) => each !== undefined));
  }

  private _map(entries: [unknown, unknown][]): void {
    this._head(entries.length, 0x80, 16, [0, 0xde, 0xdf]);
    for (const [key, value] of entries) {
      this._value(key);
      this._value(value);
    }
  }

  private _number(value: number): void {
    if (!Number.isSafeInteger(value) || Object.is(value, -0)) {
      this._byte(0xcb);
      this._float64(value);
    } else if (value >= 0) this._unsigned(value);
    else this._negative(value);
  }

  private _unsigned(value: number): void {
    if (value < 0x80) this._byte(value);
    else if (value < WORD) this._head(value, 0, 0, [0xcc, 0xcd, 0xce]);
    else this._long(0xcf, Math.floor(value / WORD), value % WORD);
  }

  private _negative(value: number): void {
    if (value >= -0x20) this._byte(value);
    else if (value >= -0x80) {
      this._byte(0xd0);
      this._byte(value);
    } else if (value >= -0x8000) {
      this._byte(0xd1);
      this._int16(value);
    } else if (value >= -0x80000000) {
      this._byte(0xd2);
      this._int32(value);
    } else this._long(0xd3, Math.floor(value / WORD), value);
  }

  private _bigint(value: bigint): void {
    if (BigInt.asIntN(64, value) === value) this._byte(0xd3);
    else if (BigInt.asUintN(64, value) === value) this._byte(0xcf);
    else throw new RangeError(`${value} needs more than 64 bits`);
    this._words(Number(BigInt.asIntN(32, value >> BigInt(32))), Number(BigInt.asIntN(32, value)));
  }

  private _text(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this._head(bytes.length, 0xa0, 32, [0xd9, 0xda, 0xdb]);
    this._raw(bytes);
  }

  private _binary(bytes: Uint8Array): void {
    this._head(bytes.length, 0, 0, [0xc4, 0xc5, 0xc6]);
    this._raw(bytes);
  }

  private _date(date: Date): void {
    const milliseconds = date.getTime();
    if (Number.isNaN(milliseconds)) throw new TypeError("an invalid Date can't be encoded");
    const seconds = Math.floor(milliseconds / 1000);
    const nanoseconds = (milliseconds - seconds * 1000) * 1e6;
    if (seconds >= 0 && seconds < 4 * WORD) {
      if (nanoseconds === 0 && seconds < WORD) {
        this._byte(0xd6);
        this._byte(TIMESTAMP);
        this._int32(seconds);
      } else {
        this._byte(0xd7);
        this._byte(TIMESTAMP);
        this._int32(nanoseconds * 4 + Math.floor(seconds / WORD));
        this._int32(seconds % WORD);
      }
    } else {
      this._byte(0xc7);
      this._byte(12);
      this._byte(TIMESTAMP);
      this._int32(nanoseconds);
      this._words(Math.floor(seconds / WORD), seconds);
    }
  }

  /** A length, or an unsigned number, in the shortest form there is; a form that does not exist is 0. */
  private _head(size: number, fix: number, fixes: number, [one, two, four]: [number, number, number]): void {
    if (size < fixes) this._byte(fix | size);
    else if (size < 0x100 && one) {
      this._byte(one);
      this._byte(size);
    } else if (size < 0x10000) {
      this._byte(two);
      this._int16(size);
    } else {
      this._byte(four);
      this._int32(size);
    }
  }

  private _long(type: number, high: number, low: number): void {
    this._byte(type);
    this._words(high, low);
  }

  private _words(high: number, low: number): void {
    this._int32(high);
    this._int32(low);
  }

  // Modulo their width, so that they write signed and unsigned numbers alike.

  private _byte(value: number): void {
    const at = this._grow(1);
    this._view.setInt8(at, value);
  }

  private _int16(value: number): void {
    const at = this._grow(2);
    this._view.setInt16(at, value);
  }

  private _int32(value: number): void {
    const at = this._grow(4);
    this._view.setInt32(at, value);
  }

  private _float64(value: number): void {
    const at = this._grow(8);
    this._view.setFloat64(at, value);
  }

  private _raw(bytes: Uint8Array): void {
    const at = this._grow(bytes.length);
    this._bytes.set(bytes, at);
  }

  /** Make room; returns where it begins. Called before anything is written, as it may replace the buffer. */
  private _grow(size: number): number {
    const at = this._length;
    this._length += size;
    if (this._length > this._bytes.length) {
      const bytes = new Uint8Array(Math.max(this._bytes.length * 2, this._length));
      bytes.set(this._bytes);
      this._bytes = bytes;
      this._view = new DataView(bytes.buffer);
    }
    return at;
  }
}

class Decoder {
  private readonly _view: DataView;
  private _at = 0;

  constructor(private readonly _bytes: Uint8Array) {
    this._view = new DataView(_bytes.buffer, _bytes.byteOffset, _bytes.byteLength);
  }

  message(): unknown {
    const value = this._value();
    if (this._at !== this._bytes.length) throw new RangeError("something follows the message");
    return value;
  }

  private _value(): unknown {
    const type = this._uint(1);
    if (type < 0x80) return type;
    if (type < 0x90) return this._map(type & 15);
    if (type < 0xa0) return this._array(type & 15);
    if (type < 0xc0) return this._text(type & 31);
    if (type >= 0xe0) return type - 0x100;
    return this._typed(type);
  }

  private _typed(type: number): unknown {
    if (type === 0xc0) return null;
    if (type === 0xc2 || type === 0xc3) return type === 0xc3;
    if (type >= 0xc4 && type <= 0xc6) return new Uint8Array(this._take(this._uint(1 << (type - 0xc4))));
    if (type >= 0xc7 && type <= 0xc9) return this._extension(this._uint(1 << (type - 0xc7)));
    if (type === 0xca) return this._view.getFloat32(this._skip(4));
    if (type === 0xcb) return this._view.getFloat64(this._skip(8));
    if (type === 0xcf) return this._long(this._uint(4));
    if (type >= 0xcc && type < 0xcf) return this._uint(1 << (type - 0xcc));
    if (type === 0xd0) return this._view.getInt8(this._skip(1));
    if (type === 0xd1) return this._view.getInt16(this._skip(2));
    if (type === 0xd2) return this._view.getInt32(this._skip(4));
    if (type === 0xd3) return this._long(this._uint(4) | 0);
    if (type >= 0xd4 && type <= 0xd8) return this._extension(1 << (type - 0xd4));
    if (type >= 0xd9 && type <= 0xdb) return this._text(this._uint(1 << (type - 0xd9)));
    if (type === 0xdc || type === 0xdd) return this._array(this._uint(type === 0xdc ? 2 : 4));
    if (type === 0xde || type === 0xdf) return this._map(this._uint(type === 0xde ? 2 : 4));
    throw new TypeError("0xc1 is no type");
  }

  private _array(length: number): unknown[] {
    const array: unknown[] = []; // not made in its length: that is only what the sender says
    for (let index = 0; index < length; index++) array.push(this._value());
    return array;
  }

  private _map(length: number): object {
    const map = {};
    for (let index = 0; index < length; index++) {
      const key = String(this._value());
      // Not by assignment: a key "__proto__" would change what the object is.
      Object.defineProperty(map, key, { value: this._value(), writable: true, enumerable: true, configurable: true });
    }
    return map;
  }

  private _text(length: number): string {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(this._take(length));
  }

  /** A timestamp, or the bytes of an extension that is not known. */
  private _extension(length: number): unknown {
    const type = this._view.getInt8(this._skip(1));
    if (type !== TIMESTAMP) return new Uint8Array(this._take(length));
    if (length === 4) return new Date(this._uint(4) * 1000);
    if (length === 8) {
      const high = this._uint(4);
      return new Date(((high & 3) * WORD + this._uint(4)) * 1000 + (high >>> 2) / 1e6);
    }
    if (length !== 12) throw new RangeError(`no timestamp has ${length} bytes`);
    const nanoseconds = this._uint(4);
    return new Date(Number(this._long(this._uint(4) | 0)) * 1000 + nanoseconds / 1e6);
  }

  /** A 64-bit integer whose upper half was read: a number where that holds it exactly, or where there are no others. */
  private _long(high: number): number | bigint {
    const low = this._uint(4);
    const number = high * WORD + low;
    if (Number.isSafeInteger(number) || typeof BigInt === "undefined") return number;
    return BigInt(high) * BigInt(WORD) + BigInt(low);
  }

  private _uint(size: number): number {
    const at = this._skip(size);
    if (size === 1) return this._view.getUint8(at);
    return size === 2 ? this._view.getUint16(at) : this._view.getUint32(at);
  }

  private _take(length: number): Uint8Array {
    const at = this._skip(length);
    return this._bytes.subarray(at, at + length);
  }

  private _skip(length: number): number {
    const at = this._at;
    if (at + length > this._bytes.length) throw new RangeError("the message is cut off");
    this._at += length;
    return at;
  }
}

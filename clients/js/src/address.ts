import { joinParams, type Params } from "./url.js";

/** A value, or a function that is called for it before each attempt to connect: what it throws makes the attempt fail. */
export type Given<Value> = Value | (() => Value | PromiseLike<Value>);

/**
 * Where to connect: a function to call before each attempt, which returns the URL, or a promise of it if it had to ask the
 * application. What is known already is checked at once; throws ConfigError.
 */
export function makeAddress(url: Given<string>, params?: Given<Params>): () => string | Promise<string> {
  // What this client understands besides the original's protocol. Computed: a name that the script build must not shorten.
  const join = (base: string, query?: Params) => joinParams(base, { ...query, ["_cw"]: 1 });
  const known = typeof url !== "function" && join(url, params as Params); // a function has no parameters in it
  if (known && typeof params !== "function") return () => known;
  return async () => join(await given(url), await given(params));
}

const given = <Value>(value: Given<Value>) => (typeof value === "function" ? (value as () => Value)() : value);

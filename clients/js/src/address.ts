import { joinParams, type Params } from "./url.js";

/** A value, or a function that returns it, called before each attempt to connect. If it throws, the attempt fails. */
export type Given<Value> = Value | (() => Value | PromiseLike<Value>);

/**
 * Return a function that returns the URL of the next attempt, or a promise of it if the application gave a function. A URL
 * and parameters that are no functions are checked at once; throws ConfigError.
 */
export function makeAddress(url: Given<string>, params?: Given<Params>): () => string | Promise<string> {
  // The version of what this client understands besides the original's protocol. Quoted, so that the build keeps the name.
  // With a function, the server may ask for new parameters.
  const renews = typeof params === "function" && { ["_cw_renew"]: 1 };
  const join = (base: string, query?: Params) => joinParams(base, { ...query, ["_cw"]: 2, ...renews });
  const known = typeof url !== "function" && join(url, params as Params); // with a function, only the URL is checked
  if (known && !renews) return () => known;
  return async () => join(await given(url), await given(params));
}

export const given = <Value>(value: Given<Value>) => (typeof value === "function" ? (value as () => Value)() : value);

import { ConfigError } from "./errors.js";

export type ParamValue = string | number | boolean;

/** Query parameters; an array gives the same name several times. */
export type Params = Readonly<Record<string, ParamValue | readonly ParamValue[]>>;

/** Add query parameters to a `ws://` or `wss://` URL; a query that it already has stays as it is. */
export function joinParams(url: string, params: Params = {}): string {
  const whole = parse(url);
  if (!whole || !/^wss?:$/.test(whole.protocol) || /[\s#]/.test(url))
    throw new ConfigError(`url: ${url} can't be used`);
  const added = new URLSearchParams();
  for (const name in params) {
    for (const value of ([] as unknown[]).concat(params[name])) {
      if (value === undefined || value === null) throw new ConfigError(`params: ${value} can't be used`);
      added.append(name, `${value}`);
    }
  }
  const query = `${added}`;
  if (!query) return url;
  whole.search = whole.search.replace(/&?$/, "&") + query;
  return whole.href.replace("?&", "?");
}

function parse(url: string): URL | undefined {
  try {
    return new URL(url);
  } catch {
    return undefined;
  }
}

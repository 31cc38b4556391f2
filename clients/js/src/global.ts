/** The script build: `<script src="crosswire.min.js">`, then `new Crosswire.Client(url)`. */
import {
  CallTimeout,
  Client,
  ConfigError,
  CrosswireError,
  EventError,
  InvalidPayload,
  NotConnected,
  reconnectsUnlessFinal,
  UsageError,
} from "./index.js";

(globalThis as { Crosswire?: object }).Crosswire = {
  CallTimeout,
  Client,
  ConfigError,
  CrosswireError,
  EventError,
  InvalidPayload,
  NotConnected,
  reconnectsUnlessFinal,
  UsageError,
};

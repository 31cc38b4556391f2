/**
 * The script build: `<script src="crosswire.min.js">`, then `new Crosswire.Client(url)`. Every name is written twice, as a
 * namespace object (`import * as`) would take the script over its 5,000 bytes.
 */
import {
  CallTimeout,
  Client,
  ConfigError,
  CrosswireError,
  EventError,
  InvalidPayload,
  NotConnected,
  reconnectsUnlessFinal,
  Refused,
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
  Refused,
  UsageError,
};

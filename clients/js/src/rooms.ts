import type { HookCaller } from "./hooks.js";

/** The state of a room that keeps history: after a join, and whenever it changes. */
export interface RoomState {
  readonly namespace: string;
  readonly id: string;
  /**
   * True if everything that was said since the client's position has reached it, or is about to; false if that can't be
   * known; null when it had no position, as at the first join.
   */
  readonly recovered: boolean | null;
  /** Why it is false: "epoch", "trimmed", "expired", "too-much", "ahead" or "unavailable"; else null. */
  readonly reason: string | null;
}

/** The payload of `$room`, and of `$left`, which has the room only. */
interface Told {
  room: [namespace: string, id: string];
  /** The position from now on, or null for none. */
  at: string | null;
  recovered: boolean | null;
  reason: string | null;
}

/** A room, and the position in it: its epoch, which belongs to one room, and its offset. Without one, there is no offset. */
type Place = [room: string, epoch: string, offset?: string];

/** Rooms that are remembered; over it, the one that the server told of first is forgotten. */
const MAX_ROOMS = 1024;

/** The rooms with a history that the client is or was in, and its position in each. */
export type Rooms = ReturnType<typeof makeRooms>;

/** @param key under which the page that comes after this one finds the positions, in its `sessionStorage` */
export function makeRooms({ _fire }: HookCaller, key: string | false | undefined) {
  let places: Place[] = []; // the one that the server told of last is the first
  let offered: string;
  let evicted: Place | undefined;

  const split = (at: unknown) => `${at}`.split(".") as [epoch: string, offset?: string];

  return {
    /** Take the position that the server tells, and tell the application; of `$left`, forget the room. */
    _changed({ room: [namespace, id], at, recovered, reason }: Told): void {
      const room = JSON.stringify([namespace, id]);
      const was = places.filter(([each]) => each === room)[0] || evicted; // any room may be the one that was forgotten
      places = places.filter(([each]) => each !== room);
      if (at === undefined) return;
      // The server can't know which room the positions of another epoch were in: messages may be missing.
      if (recovered === null && was) {
        recovered = false;
        reason = offered.includes(was[1]) ? "epoch" : was[2] ? "too-much" : "unavailable";
      }
      if (places.unshift([room, ...split(at)]) > MAX_ROOMS) evicted = places.pop();
      _fire("onRoom", { namespace, id, recovered, reason });
    },

    /** Move behind the message at this position; returns a false value if the client has had the message already. */
    _move(at: unknown): unknown {
      const [epoch, offset] = split(at);
      const place = places.find((each) => each[1] === epoch);
      return !place || (+offset! > +place[2]! && (place[2] = offset!));
    },

    /** The positions to add to the URL of the next attempt, as many of the latest as fit. */
    _offer(): string {
      const all = places.flatMap(([, epoch, offset]) => (offset ? `${epoch}.${offset}` : []));
      [offered] = /^.{0,4096}(?![^,])/.exec(all.join())!;
      return offered && `&_cw_at=${offered}`;
    },

    /**
     * Keep the positions for the page that comes after this one, or take those that are kept: they are there only while
     * there is no page that has them, so a tab that is duplicated has none.
     */
    _keep(keep: unknown): void {
      if (!key) return;
      try {
        const kept = sessionStorage[key];
        sessionStorage[key] = keep ? kept || JSON.stringify(places) : "";
        if (!keep && !places[0]) places = JSON.parse(kept).map(([...place]) => place);
      } catch {
        // Nothing is kept, or storage is forbidden or full: the next page joins its rooms as for the first time.
      }
    },
  };
}

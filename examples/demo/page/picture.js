// The chat as one client knows it: the users on each node, and the members of each room.

const ALWAYS = ["lobby", "music", "games"];

export class Picture {
  people = new Map(); // name -> {name, bot, node}
  rooms = new Map(ALWAYS.map((room) => [room, new Set()])); // name -> names of the members

  /** Replaces the whole picture, after every connection and after an outage; only changes follow. */
  take({ people, rooms }) {
    this.people = new Map(people.map((person) => [person.name, person]));
    this.rooms = new Map(Object.entries(rooms).map(([room, members]) => [room, new Set(members)]));
  }

  arrived(person) {
    this.#leaveRooms(person.name); // a user on a new node joins the rooms again
    this.people.set(person.name, person);
  }

  went({ name, node }) {
    if (this.people.get(name)?.node !== node) return; // the user is on another node by now
    this.people.delete(name);
    this.#leaveRooms(name);
  }

  joined({ room, name }) {
    this.rooms.set(room, (this.rooms.get(room) ?? new Set()).add(name));
  }

  left({ room, name }) {
    this.rooms.get(room)?.delete(name);
  }

  /** Removes the users of a node that is dead. */
  lost(node) {
    for (const person of [...this.people.values()]) if (person.node === node) this.went(person);
  }

  /** Returns the rooms to show: the fixed ones first, then others that have members. */
  roomNames(mine) {
    const others = [...this.rooms.keys()].filter((room) => this.rooms.get(room).size || mine.has(room));
    return [...new Set([...ALWAYS, ...others.sort()])];
  }

  /** Returns the users that a message would reach: node -> names. */
  reach({ to, name }) {
    const names = { everyone: () => this.people.keys(), room: () => this.rooms.get(name) ?? [], user: () => [name] };
    const nodes = new Map();
    for (const each of [...names[to]()].sort()) {
      const node = this.people.get(each)?.node;
      if (node) nodes.set(node, [...(nodes.get(node) ?? []), each]);
    }
    return [...nodes].sort();
  }

  #leaveRooms(name) {
    for (const members of this.rooms.values()) members.delete(name);
  }
}

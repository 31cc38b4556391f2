// What one client knows of the chat: who is on which node, and who is in which room.

const ALWAYS = ["lobby", "music", "games"];

export class Picture {
  people = new Map(); // name -> {name, bot, node}
  rooms = new Map(ALWAYS.map((room) => [room, new Set()])); // name -> names of the members

  /** The whole picture, after every connection and after an outage; changes follow. */
  take({ people, rooms }) {
    this.people = new Map(people.map((person) => [person.name, person]));
    this.rooms = new Map(Object.entries(rooms).map(([room, members]) => [room, new Set(members)]));
  }

  arrived(person) {
    this.#leaveRooms(person.name); // who moved to another node joins its rooms again
    this.people.set(person.name, person);
  }

  went({ name, node }) {
    if (this.people.get(name)?.node !== node) return; // on another node meanwhile
    this.people.delete(name);
    this.#leaveRooms(name);
  }

  joined({ room, name }) {
    this.rooms.set(room, (this.rooms.get(room) ?? new Set()).add(name));
  }

  left({ room, name }) {
    this.rooms.get(room)?.delete(name);
  }

  /** A node is dead, and with it the connections that were there. */
  lost(node) {
    for (const person of [...this.people.values()]) if (person.node === node) this.went(person);
  }

  /** Rooms to show: those that somebody is in, and the fixed ones first. */
  roomNames(mine) {
    const others = [...this.rooms.keys()].filter((room) => this.rooms.get(room).size || mine.has(room));
    return [...new Set([...ALWAYS, ...others.sort()])];
  }

  /** Whom a message would reach: node -> names. */
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

/**
 * How a user's interface describes events. A member is the type of an event's data, or, for an event that is called, a
 * function from the data to the answer:
 *
 *     interface ClientEvents {
 *       typing: { room: string };
 *       say(data: { msg: string }): { msg: string };
 *     }
 */

/** Events that nobody described. */
export type AnyEvents = Record<string, any>;

export type Name<Events> = keyof Events & string;

/** The data of an event, as it is sent. */
export type Data<Member> = Member extends (...args: infer Args) => any ? Args[0] : Member;

/** A value as it arrives: on the wire there is no undefined, but null. */
type Arrived<Value> = Value extends undefined | void ? null : Value;

/** The answer to a call of an event. */
export type Answer<Member> = Member extends (...args: any[]) => infer Result ? Arrived<Awaited<Result>> : any;

/** A handler of the server's events. If the server calls, the return value, or what its promise resolves to, is the answer. */
export type Handler<Member> = (
  data: Arrived<Data<Member>>,
) => Member extends (...args: any[]) => infer Result ? Awaited<Result> | PromiseLike<Awaited<Result>> : unknown;

/** Arguments that begin with the data, which may be left out if its type allows undefined. */
export type WithData<Member, Rest extends unknown[] = []> =
  undefined extends Data<Member> ? [data?: Data<Member>, ...rest: Rest] : [data: Data<Member>, ...rest: Rest];

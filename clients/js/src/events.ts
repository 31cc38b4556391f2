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

/** What a call of an event is answered with. */
export type Answer<Member> = Member extends (...args: any[]) => infer Result ? Arrived<Awaited<Result>> : any;

/** A handler of the server's events; for those that are called, what it returns, or its promise, is the answer. */
export type Handler<Member> = (
  data: Arrived<Data<Member>>,
) => Member extends (...args: any[]) => infer Result ? Awaited<Result> | PromiseLike<Awaited<Result>> : unknown;

/** Data, which may be left out where undefined is a value of it, followed by more arguments. */
export type WithData<Member, Rest extends unknown[] = []> =
  undefined extends Data<Member> ? [data?: Data<Member>, ...rest: Rest] : [data: Data<Member>, ...rest: Rest];

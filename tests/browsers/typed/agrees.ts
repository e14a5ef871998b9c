// module.js is client.js where no types lie beside it: by its source it is what they say.
import type * as written from "./client.js";
import * as made from "./module.js";

export const agrees: typeof written = made;
type Unwritten = Exclude<keyof typeof made, keyof typeof written>;
export const nothingElse: [Unwritten] extends [never] ? true : Unwritten = true;

// The server's own client: users, keys, tokens. All of this page asks it, and no server else.
import { settings } from "./settings.js";

/** Null until `arrive` is done. */
export let vibe = null;

export async function arrive() {
  const { connect } = await import(`${settings.url}/client.js`);
  vibe = await connect(settings);
}

// What goes wrong, told in words that lead on: each with buttons for what can be done about it.
import { settings } from "./settings.js";
import { vibe } from "./vibe.js";
import { words } from "./words.js";

const NAMES = { google: "Google", apple: "Apple" };
const notice = document.getElementById("notice");
const shop = document.getElementById("shop");

export function button(label, act) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = label;
  made.onclick = act;
  return made;
}

export const signIns = () => settings.signIn.map(signIn);

const signIn = (name) =>
  button(`Sign in with ${NAMES[name]}`, attempt(() => vibe.signIn(name)));

// For who cannot sign in again, or will not.
const anew = () => button("Go on as somebody new", attempt(() => vibe.signOut()));

/** `again` is what to do once more, where that may help. */
export function tell(error, again) {
  if (!error.kind) console.error(error); // a mistake in this page
  const ways = waysOutOf(error, again);
  const row = document.createElement("p");
  row.className = "buttons";
  row.append(...ways);
  notice.replaceChildren(words(error, vibe?.user), ...(ways.length ? [row] : []));
}

export const forget = () => notice.replaceChildren();

function waysOutOf({ kind }, again) {
  const isSignedIn = vibe?.user?.signedIn;
  if (kind === "sign-in" && isSignedIn) return [...signIns(), anew()];
  if (kind === "sign-in" || (kind === "payment" && !isSignedIn)) return signIns();
  if (kind === "payment") return [button("See what there is", showShop)];
  return again && kind !== "refused" ? [button("Try again", again)] : [];
}

function showShop() {
  shop.open = true;
  shop.querySelector("summary").focus();
}

/** What a button does: what was told before is over, and what fails is told. */
export const attempt = (act) => async () => {
  forget();
  try {
    await act();
  } catch (error) {
    tell(error, attempt(act));
  }
};

// Who it is, and what there is to buy.
import { attempt, button, signIns } from "./problems.js";
import { vibe } from "./vibe.js";

const element = (id) => document.getElementById(id);

export async function showAccount() {
  await showUser();
  try {
    await showShop();
  } catch ({ kind }) {
    if (kind === "refused") element("shop").hidden = true; // the tenant sells nothing
  }
}

async function showUser() {
  const isSignedIn = vibe.user?.signedIn;
  const out = button("Sign out", attempt(() => vibe.signOut()));
  element("account").replaceChildren(...(isSignedIn ? [out] : signIns()));
  const me = isSignedIn ? await vibe.me() : null;
  element("who").textContent = me ? (me.name ?? me.email ?? "Signed in") : "New here";
}

async function showShop() {
  const { plan, plans, packs } = await vibe.billing();
  const goods = [
    ...plans.map((one) => offer({ plan: one.name }, `${count(one)} a month`, one.name === plan)),
    ...packs.map((one) => offer({ pack: one.name }, `${count(one)} once`)),
  ];
  element("goods").replaceChildren(...goods);
  element("manage").hidden = !plan;
  element("shop").hidden = !goods.length;
}

const count = ({ tokens }) => `${tokens.toLocaleString("en")} tokens`;

function offer(what, label, isBought) {
  const item = document.createElement("li");
  const buy = button("Buy", attempt(() => vibe.buy(what)));
  buy.setAttribute("aria-label", `Buy ${label}`);
  item.append(label, isBought ? " (yours)" : buy);
  return item;
}

element("manage").onclick = attempt(() => vibe.manage());

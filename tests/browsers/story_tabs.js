// Steps of two tabs together: each tells the other how far it has come.
const channel = new BroadcastChannel("tabs");
let mine = 0;
let other = 0;
let wake = () => {};
channel.onmessage = ({ data }) => {
  if (data.asks) channel.postMessage({ at: mine });
  other = Math.max(other, data.at);
  wake();
};

async function meet(at) {
  mine = at;
  channel.postMessage({ at, asks: true });
  while (other < at) await new Promise((resolve) => (wake = resolve));
}

// Each of the tenants, where nobody has been before, is opened in both tabs at the same moment.
export async function openTogether({ plan, connect }) {
  const users = [];
  for (const [number, tenant] of plan.tenants.entries()) {
    await meet(number + 1);
    const vibe = await connect({ url: plan.server, tenant });
    const { userId } = await vibe.refresh();
    users.push(userId);
  }
  return { users };
}

// The second tab: it does nothing, and hears of what the first one does.
export async function watch({ vibe, heard }) {
  await vibe.refresh();
  await meet(1000);
  await meet(1001);
  return { heard };
}

export async function begin({ vibe }) {
  await vibe.refresh();
  await meet(1000);
  return {};
}

export async function end() {
  await meet(1001);
  return {};
}

// A page of an app. It does everything that the test asks about, with what is behind its #, and
// sends what it found to where it comes from: {case: result}, or {case: {threw}}.
import * as anthropic from "./with_anthropic.js";
import * as fetching from "./with_fetch.js";
import * as openai from "./with_openai.js";

const settings = JSON.parse(decodeURIComponent(location.hash.slice(1)));

async function results(cases) {
  const found = {};
  for (const [name, run] of Object.entries(cases)) {
    try {
      found[name] = await run(settings);
    } catch (error) {
      found[name] = { threw: `${error.stack ?? error}` };
    }
  }
  return found;
}

const found = {
  openai: await results(openai),
  anthropic: await results(anthropic),
  fetching: await results(fetching),
};
await fetch("/found", { method: "POST", body: JSON.stringify(found) });

// The same as acting.py, for apps in JavaScript.
export const WEATHER = "Tells the temperature in a city.";
export const degreesIn = ({ city }) => ({ Bern: "20" })[city];

async function one(act, call, prompt) {
  try {
    return await act(call, prompt);
  } catch (error) {
    console.error(error);
    return { failed: `${error.constructor.name}: ${error.message}` };
  }
}

export async function run(acts) {
  const found = [];
  for (const given of JSON.parse(process.argv[2])) {
    const call = { baseURL: given.base_url, url: `${given.base_url}/v1`, ...given };
    const made = {};
    for (const [name, prompt] of Object.entries(given.prompts)) {
      made[name] = await one(acts[name], call, prompt);
    }
    found.push(made);
  }
  console.log(JSON.stringify(found));
}

export async function gather(parts) {
  let text = "";
  for await (const part of parts) text += part;
  return text;
}

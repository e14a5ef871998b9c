// node talk.mjs <client> <settings, JSON>: prints what was found.
import { converse } from "./clients.js";

const [name, settings] = process.argv.slice(2);
const { waiting, ...found } = await converse(name, JSON.parse(settings));
console.log(JSON.stringify(found));
process.exit(0);

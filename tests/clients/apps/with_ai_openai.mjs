import { createOpenAI } from "@ai-sdk/openai";
import { run } from "./acting.mjs";
import { actsOf } from "./ai_sdk.mjs";

await run(actsOf(({ url, key, model }) => createOpenAI({ baseURL: url, apiKey: key })(model)));

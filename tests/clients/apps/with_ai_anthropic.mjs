import { createAnthropic } from "@ai-sdk/anthropic";
import { run } from "./acting.mjs";
import { actsOf } from "./ai_sdk.mjs";

await run(actsOf(({ url, key, model }) => createAnthropic({ baseURL: url, apiKey: key })(model)));

import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { run } from "./acting.mjs";
import { actsOf } from "./ai_sdk.mjs";

const settings = ({ url, key }) => ({ name: "app", baseURL: url, apiKey: key });
await run(actsOf((call) => createOpenAICompatible(settings(call))(call.model)));

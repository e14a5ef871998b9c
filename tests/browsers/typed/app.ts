// An app in TypeScript.
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { connect, type Kind, VibeError, type Vibe } from "./client.js";

export async function run(): Promise<void> {
  const vibe: Vibe = await connect({ tenant: "abc", challenge: async () => "solved" });
  vibe.addEventListener("balance", ({ detail }) => show(detail.toFixed()));
  vibe.addEventListener("user", ({ detail }) => show(detail?.userId ?? "nobody"));
  vibe.addEventListener("refused", ({ detail }) => show(detail.message));
  vibe.addEventListener("else", (event: Event) => show(event.type));
  if (vibe.returned?.error) show(vibe.returned.error.message);

  const openai = new OpenAI(vibe.openai());
  const messages = [{ role: "user" as const, content: "Hello" }];
  const answer = await openai.chat.completions.create({ model: "", messages });
  show(answer.choices[0]?.message.content ?? "");
  await new Anthropic(vibe.anthropic()).models.list();

  try {
    const left: number = await vibe.charge(5);
    show(`${left} of ${(await vibe.refresh()).tokensLeft}`);
    await vibe.buy({ pack: "small" }, { returnUrl: "https://app.example.com/" });
  } catch (error) {
    if (!(error instanceof VibeError)) throw error;
    const kind: Kind = error.kind;
    const wait: number | null = error.retryAfter;
    show(`${kind} ${wait}`);
  }

  const { url, protocols } = await vibe.voice({ model: "gpt-realtime-2.1" });
  new WebSocket(url, protocols);
  const { apiKey } = await vibe.restrictedKey({ tokens: 50, origins: ["https://app.example.com"] });
  show(apiKey);
  await vibe.signIn("apple");
  // @ts-expect-error: there is no such provider
  await vibe.signIn("github");
  // @ts-expect-error: either of them
  await vibe.buy({ plan: 5 });
  // @ts-expect-error: it says so itself
  vibe.balance = 5;
  await vibe.signOut({ everywhere: true });
}

const show = (text: string): void => console.log(text);

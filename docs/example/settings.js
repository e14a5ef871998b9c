// Where the server is, which tenant of it this page is of, and what that tenant has: ways to sign
// in ("google", "apple"), and a model that talks.
export const settings = {
  url: "http://localhost:3000",
  tenant: "demo",
  signIn: ["google", "apple"],
  talks: true,
};

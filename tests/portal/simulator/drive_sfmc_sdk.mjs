// Drives the simulator with sfmc-sdk and prints what it saw as one JSON object.
// Arguments: folder of node_modules, the origin of the simulator, and {subdomain, client_id, client_secret, mid}.
const [folder, origin, said] = process.argv.slice(2);
const { default: SDK } = await import(`${folder}/sfmc-sdk/lib/index.js`);
const account = JSON.parse(said);
const auth = {
    client_id: account.client_id,
    client_secret: account.client_secret,
    account_id: account.mid,
    auth_url: `${origin}/https://${account.subdomain}.auth.marketingcloudapis.com/`,
};
const sdk = new SDK(auth, { requestAttempts: 2 });
const seen = {};

await sdk.rest.post("/hub/v1/dataevents/key:People/rowset", [
    { keys: { Id: "1" }, values: { City: "Bonn" } },
    { keys: { Id: "2" }, values: { City: "Graz" } },
    { keys: { Id: "3" }, values: { City: "Lyon" } },
]);
seen.rows = await sdk.rest.getBulk("/data/v1/customobjectdata/key/People/rowset", 2);
const later = await sdk.rest.put("/data/v1/async/dataextensions/key:People/rows", {
    items: [{ Id: "4", City: "Oslo" }, { City: "nowhere" }],
});
seen.later = await sdk.rest.get(`/data/v1/async/${later.requestId}/results?page=1`);

const filter = { leftOperand: "SubscriberKey", operator: "equals", rightOperand: "SUB-1" };
const status = () => sdk.soap.retrieve("Subscriber", ["SubscriberKey", "Status"], { filter });
seen.before = (await status()).Results;
const unsubscribe = () =>
    sdk.soap.execute("LogUnsubEvent", [
        { Name: "SubscriberKey", Value: "SUB-1" },
        { Name: "Reason", Value: "by hand" },
    ]);
seen.unsubscribed = (await unsubscribe()).Results;
seen.after = (await status()).Results;
seen.again = await unsubscribe().catch((error) => error.json.Results);
seen.bulk = (await sdk.soap.retrieveBulk("Subscriber", ["SubscriberKey"], { options: { BatchSize: 1 } })).Results;

await fetch(`${origin}/simulator/expire-tokens`, { method: "POST", body: "{}" });
seen.renewedForRest = (await sdk.rest.get("/v2/userinfo")).organization;
await fetch(`${origin}/simulator/expire-tokens`, { method: "POST", body: "{}" });
seen.renewedForSoap = (await status()).OverallStatus;
seen.wrongSecret = await new SDK({ ...auth, client_secret: "no" }).rest.get("/v2/userinfo").catch((e) => e.code);
const poor = new SDK({ ...auth, scope: ["data_extensions_read"] });
seen.missingScope = await poor.rest
    .post("/hub/v1/dataevents/key:People/rowset", [{ keys: { Id: "5" }, values: {} }])
    .catch((error) => [error.response.status, error.code]);
console.log(JSON.stringify(seen));

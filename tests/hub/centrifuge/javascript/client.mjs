// The official client over one transport: node client.mjs URL TOKEN TRANSPORT CHANNEL [json|protobuf [fossil]]
// Says what happens to it, one JSON object a line; does what it is told on standard input, a word a line.
import {createInterface} from "node:readline";
import {Centrifuge} from "centrifuge";
import {Centrifuge as ProtobufCentrifuge} from "centrifuge/build/protobuf";
import {EventSource} from "eventsource";
import WebSocket from "ws";

const [url, token, transport, channel, format, delta] = process.argv.slice(2);
const say = (what) => process.stdout.write(JSON.stringify(what) + "\n");

const endpoints = {
  websocket: url.replace("http", "ws") + "/connection/websocket",
  http_stream: url + "/connection/http_stream",
  sse: url + "/connection/sse",
};
const options = {
  token,
  websocket: WebSocket,
  eventsource: EventSource,
  fetch,
  readableStream: ReadableStream,
  emulationEndpoint: url + "/emulation",
  minReconnectDelay: 50,
  maxReconnectDelay: 200,
};
const Kind = format === "protobuf" ? ProtobufCentrifuge : Centrifuge;
const client = new Kind([{transport, endpoint: endpoints[transport]}], options);
const text = (data) => (data instanceof Uint8Array ? JSON.parse(new TextDecoder().decode(data)) : data);

client.on("connected", (context) => say({connected: context.transport}));
client.on("disconnected", (context) => say({disconnected: context.code}));
client.on("error", (context) => say({error: context.error.message ?? String(context.error)}));

const subscription = client.newSubscription(channel, {delta});
subscription.on("subscribed", (context) => say({subscribed: context.channel, recovered: context.recovered}));
subscription.on("unsubscribed", (context) => say({unsubscribed: context.code}));
subscription.on("publication", (context) => say({offset: context.offset, data: text(context.data)}));
subscription.subscribe();
client.connect();

for await (const word of createInterface({input: process.stdin})) {
  if (word === "disconnect") client.disconnect();
  if (word === "connect") client.connect();
  if (word === "deltas") say({deltas: subscription.deltaStats().numDeltaPayloads});
  if (word === "history") {
    const found = await subscription.history({limit: 100});
    say({history: found.publications.map((one) => one.offset)});
  }
}
client.disconnect();

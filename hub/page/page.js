// Signs in, follows both sockets, shows what arrives. A lost connection comes back with its place and misses nothing.

const SHOWN = 200;
const account = { access: "", refresh: "", user: null, following: false };

async function post(path, body) {
  const reply = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  const answer = await reply.json().catch(() => ({}));
  if (!reply.ok) {
    const error = new Error(answer.detail ?? Object.values(answer).flat()[0] ?? `The hub answered ${reply.status}.`);
    error.refused = reply.status < 500;
    throw error;
  }
  return answer;
}

const el = (name, text) => Object.assign(document.createElement(name), { textContent: text });

class Feed {
  constructor(section) {
    this.path = section.dataset.path;
    this.list = section.querySelector("ol");
    this.state = section.querySelector(".state");
    this.place = null;
    this.wait = 0.5;
    this.connect();
  }

  connect() {
    const url = new URL(this.path, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    if (this.place) {
      url.searchParams.set("since", this.place.offset);
      url.searchParams.set("epoch", this.place.epoch);
    }
    // The token travels as a subprotocol: in the address it would be kept by proxies and histories.
    this.socket = new WebSocket(url, ["bearer", account.access]);
    this.socket.onmessage = (message) => this.receive(JSON.parse(message.data));
    this.socket.onclose = () => this.lost();
  }

  receive(frame) {
    if (frame.type === "connection_established") {
      this.wait = 0.5;
      this.state.textContent = "live";
      if (this.place && !frame.recovered) this.show(null);
      if (!frame.recovered) this.place = { epoch: frame.epoch, offset: frame.offset };
    } else if (frame.type === "position") {
      this.place = { epoch: frame.epoch, offset: frame.offset };
    } else {
      if (frame.offset !== undefined) this.place.offset = frame.offset;
      this.show(frame);
    }
  }

  show(frame) {
    const row = el("li");
    if (frame === null) {
      row.className = "gap";
      row.append(el("span"), el("span", "Some of what happened meanwhile is out of reach here."));
    } else {
      const said = describe(frame);
      row.append(el("time", new Date().toLocaleTimeString()), el("span", said.title), el("small", said.detail));
    }
    this.list.prepend(row);
    while (this.list.children.length > SHOWN) this.list.lastChild.remove();
  }

  async lost() {
    if (!account.following) return;
    this.state.textContent = "connecting …";
    await new Promise((go) => setTimeout(go, 1000 * this.wait * (0.5 + Math.random())));
    this.wait = Math.min(this.wait * 2, 15);
    try {
      await refresh();
    } catch (error) {
      if (error.refused) return leave("Please sign in again.");
    }
    if (account.following) this.connect();
  }

  stop() {
    this.socket.close();
    this.list.replaceChildren();
  }
}

// What a frame says, in a line and a smaller line. Frames of agents carry one object named by their type.
function describe(frame) {
  if (frame.type === "notification") {
    return { title: frame.notification.title, detail: frame.notification.message };
  }
  if (frame.type === "activity_created") {
    const { actor_name, action, content_type, object_repr, changed } = frame.activity;
    return {
      title: `${actor_name || "Someone"} ${action} ${content_type} ${object_repr}`,
      detail: changed?.length ? `changed: ${changed.join(", ")}` : "",
    };
  }
  const record = frame[frame.type.replace("_update", "")];
  if (record?.changed) {
    return { title: `${frame.type.replace("_update", "")} ${record.object_repr} ${record.action}`, detail: `changed: ${record.changed.join(", ")}` };
  }
  const { type, offset, channel, ...rest } = frame;
  return { title: type.replaceAll("_", " "), detail: JSON.stringify(rest) };
}

// Both feeds may come back at once, and a refresh token is good for one use: they share one exchange.
let exchange = null;
function refresh() {
  exchange ??= post("/api/auth/refresh/", { refresh: account.refresh })
    .then((tokens) => Object.assign(account, tokens))
    .finally(() => { exchange = null; });
  return exchange;
}

let feeds = [];

function enter() {
  account.following = true;
  document.querySelector("#who").textContent = `${account.user.full_name || account.user.username} (${account.user.role})`;
  show(true);
  feeds = [...document.querySelectorAll("section")].map((section) => new Feed(section));
}

function leave(reason = "") {
  account.following = false;
  feeds.forEach((feed) => feed.stop());
  feeds = [];
  Object.assign(account, { access: "", refresh: "", user: null });
  document.querySelector("#who").textContent = "";
  document.querySelector("#refusal").textContent = reason;
  show(false);
}

function show(inside) {
  step(inside ? null : "enter");
  document.querySelector("#feeds").hidden = !inside;
  document.querySelector("#leave").hidden = !inside;
}

// Which of the forms is to be filled in; null is none.
function step(name) {
  for (const form of document.forms) form.hidden = form.id !== name;
  if (name) document.forms[name].querySelector("input").focus();
}

// What a form does with its fields; what goes wrong is said below it.
function form(name, act) {
  document.forms[name].onsubmit = async (event) => {
    event.preventDefault();
    const refusal = document.querySelector("#refusal");
    refusal.textContent = "";
    try {
      refusal.textContent = (await act(Object.fromEntries(new FormData(event.target)))) ?? "";
      event.target.reset();
    } catch (error) {
      refusal.textContent = error.message;
    }
  };
}

let temporary = "";

function signedIn(answer) {
  if (answer.temp_token) {
    temporary = answer.temp_token;
    step("second");
    return;
  }
  Object.assign(account, answer);
  enter();
}

form("enter", async (fields) => signedIn(await post("/api/auth/login/", fields)));
form("second", async (fields) => signedIn(await post("/api/auth/login/2fa/", { temp_token: temporary, ...fields })));
form("renew", async (fields) => {
  const [, uid, token] = location.hash.split("/");
  const answer = await post("/api/auth/password-reset/confirm/", { uid, token: decodeURIComponent(token), ...fields });
  history.replaceState(null, "", location.pathname);
  step("enter");
  return answer.message;
});
document.querySelector("#forgot").onclick = async () => {
  const email = prompt("The e-mail of your account?");
  if (!email) return;
  const answer = await post("/api/auth/password-reset/", { email }).catch((error) => error);
  document.querySelector("#refusal").textContent = answer.message;
};
document.querySelector("#leave").onclick = () => {
  post("/api/auth/logout/", { refresh: account.refresh }).catch(() => {});
  leave();
};
// The link of a mail that sets a new password.
if (location.hash.startsWith("#reset/")) step("renew");

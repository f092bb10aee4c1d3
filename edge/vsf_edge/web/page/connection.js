// The WebSocket: says when the page is ready for the next frame, and comes back after a loss.
const FIRST_WAIT = 500;
const LAST_WAIT = 8000;
const TRY_LATER = 1013;

export class Connection {
  // `on` has hello(text), text(text), frame(buffer), up(), down(reason)
  constructor(on) {
    this.on = on;
    this.wait = FIRST_WAIT;
    this.selected = null;
    document.addEventListener("visibilitychange", () => this.say(!document.hidden));
  }

  open() {
    const address = new URL("/frames", location.href);
    address.protocol = address.protocol.replace("http", "ws");
    this.socket = new WebSocket(address);
    this.socket.binaryType = "arraybuffer";
    this.socket.onmessage = ({data}) => (typeof data === "string" ? this.take(JSON.parse(data)) : this.on.frame(data));
    this.socket.onclose = (event) => this.lost(event);
  }

  take(said) {
    if (said.type !== "hello") return this.on.text(said);
    this.wait = FIRST_WAIT;
    this.on.hello(said);
    this.on.up();
    return this.say(!document.hidden);
  }

  // true: show me the next frame; false: none, I am hidden; undefined: only another cell was selected
  say(ready) {
    if (this.socket?.readyState === WebSocket.OPEN) {
      this.socket.send(JSON.stringify({ready, selected: this.selected}));
    }
  }

  select(track) {
    if (track === this.selected) return;
    this.selected = track;
    this.say();
  }

  async lost({code, reason}) {
    const wait = code === TRY_LATER ? LAST_WAIT : this.wait;
    this.wait = Math.min(LAST_WAIT, this.wait * 2);
    this.on.down(reason);
    setTimeout(async () => {
      const answer = await fetch("/healthz").catch(() => null);
      if (answer?.status === 401) location.replace("/login");
      else if (answer) this.open();
      else this.lost({code: 1006, reason: ""});
    }, wait);
  }
}

export async function ask(path, fields = {}) {
  const answer = await fetch(path, {method: "POST", body: new URLSearchParams(fields)});
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.error);
  return said;
}

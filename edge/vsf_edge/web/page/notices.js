// What the user should know: the newest notice of each kind. Information and warnings go by themselves; errors stay until
// they are closed.
import {sentence} from "./words.js";

const AT_MOST = 2;
const SHOWN_ANYWAY = ["paused", "resumed"]; // by the button and the state
const STAYS = {info: 6000, warning: 15000};
const OLD = 60;

export class Notices {
  constructor(section) {
    this.section = section;
    this.errors = 0;
  }

  clear() {
    this.section.replaceChildren();
  }

  recall(notices) {
    this.clear();
    const now = Date.now() / 1000;
    notices.filter(({level, time}) => level !== "info" && now - time < OLD).forEach((notice) => this.add(notice));
  }

  add({level, kind, text, time}) {
    if (SHOWN_ANYWAY.includes(kind)) return;
    if (level === "error") {
      this.errors += 1;
      this.section.querySelector("[data-level=info]")?.remove(); // it says what was begun, and failed
    }
    this.section.querySelector(`[data-kind="${CSS.escape(kind)}"]`)?.remove();
    const row = document.createElement("div");
    row.dataset.kind = kind;
    row.className = "notice";
    row.dataset.level = level;
    const at = new Date(1000 * time).toTimeString().slice(0, 8);
    const close = Object.assign(document.createElement("button"), {type: "button", className: "small", textContent: "×"});
    close.setAttribute("aria-label", "Close this notice");
    close.onclick = () => row.remove();
    row.append(
      Object.assign(document.createElement("time"), {textContent: at}),
      Object.assign(document.createElement("span"), {textContent: sentence(text)}),
      close,
    );
    this.section.prepend(row);
    while (this.section.children.length > AT_MOST) this.section.lastChild.remove();
    if (STAYS[level]) setTimeout(() => row.remove(), STAYS[level]);
  }

  info(text) {
    this.add({level: "info", kind: "answer", text, time: Date.now() / 1000});
  }

  error(text) {
    this.add({level: "error", kind: "answer", text, time: Date.now() / 1000});
  }
}

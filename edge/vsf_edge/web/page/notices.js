// What the user should know: the newest notices; information goes by itself, warnings stay until they are closed.
const AT_MOST = 3;
const STAYS = 7000;
const OLD = 60;

export class Notices {
  constructor(section) {
    this.section = section;
  }

  clear() {
    this.section.replaceChildren();
  }

  recall(notices) {
    this.clear();
    const now = Date.now() / 1000;
    notices.filter(({level, time}) => level !== "info" && now - time < OLD).forEach((notice) => this.add(notice));
  }

  add({level, text, time}) {
    const row = document.createElement("div");
    row.className = "notice";
    row.dataset.level = level;
    const at = new Date(1000 * time).toLocaleTimeString([], {hour: "2-digit", minute: "2-digit", second: "2-digit"});
    const close = Object.assign(document.createElement("button"), {type: "button", className: "small", textContent: "×"});
    close.setAttribute("aria-label", "Close this notice");
    close.onclick = () => row.remove();
    row.append(
      Object.assign(document.createElement("time"), {textContent: at}),
      Object.assign(document.createElement("span"), {textContent: text}),
      close,
    );
    this.section.prepend(row);
    while (this.section.children.length > AT_MOST) this.section.lastChild.remove();
    if (level === "info") setTimeout(() => row.remove(), STAYS);
  }

  info(text) {
    this.add({level: "info", text, time: Date.now() / 1000});
  }

  error(text) {
    this.add({level: "error", text, time: Date.now() / 1000});
  }
}

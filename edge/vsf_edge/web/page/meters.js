// How the session runs: frames per second, latency, stages, queues, what was lost; calm, four times a second.
const EVERY = 250;
const ALARM = 4000;
const DETAILS = ["Stages, ms", "Queues"]; // which a telephone has no room for

export class Meters {
  constructor(list) {
    this.list = list;
    this.last = 0;
    this.times = [];
    this.lost = 0;
    this.lostAt = -Infinity;
    this.smooth = {};
    this.cells = new Map();
  }

  frame(frame) {
    const now = performance.now();
    this.times.push(now);
    while (now - this.times[0] > 2000) this.times.shift();
    const lost = Object.values(frame.dropped).reduce((sum, count) => sum + count, 0);
    if (lost > this.lost) this.lostAt = now;
    this.lost = lost;
    this.follow("latency", frame.latency_ms);
    this.follow("shown", frame.shown_ms);
    for (const [stage, ms] of Object.entries(frame.stages_ms)) this.follow(`stage ${stage}`, ms);
    if (now - this.last < EVERY) return;
    this.last = now;
    this.draw(frame, now);
  }

  follow(name, value) {
    const before = this.smooth[name];
    this.smooth[name] = before === undefined ? value : before + 0.15 * (value - before);
  }

  draw(frame, now) {
    const span = this.times.length > 1 ? (this.times.at(-1) - this.times[0]) / 1000 : 0;
    const fps = span ? (this.times.length - 1) / span : 0;
    const ms = (value) => (value < 10 ? value.toFixed(1) : value.toFixed(0));
    const named = (values, word) => Object.entries(values).map(([name, value]) => `${name} ${word(value, name)}`).join(" · ");
    this.set("Frame", String(frame.number));
    this.set("Stained", `${frame.rate.toFixed(1)} /s`);
    this.set("Shown", `${fps.toFixed(1)} /s`);
    this.set("Latency", `${ms(this.smooth.latency)} ms`);
    this.set("Stages, ms", named(frame.stages_ms, (_, name) => ms(this.smooth[`stage ${name}`])) || "–");
    this.set("Queues", named(frame.queues, String) || "none");
    const dropped = Object.fromEntries(Object.entries(frame.dropped).filter(([, count]) => count));
    this.set("Lost", named(dropped, String) || "none", now - this.lostAt < ALARM && this.times.length > 20);
  }

  set(name, text, alarm = false) {
    let cell = this.cells.get(name);
    if (!cell) {
      const group = document.createElement("div");
      cell = document.createElement("dd");
      group.className = DETAILS.includes(name) ? "detail" : "";
      group.append(Object.assign(document.createElement("dt"), {textContent: name}), cell);
      this.list.append(group);
      this.cells.set(name, cell);
    }
    if (cell.textContent !== text) cell.textContent = text;
    cell.classList.toggle("alarm", alarm);
  }
}

// The list of the cells in view: small stain, number, value and interval of each; arrow keys choose one.
import {abstainedColour, colourOf, place} from "./colours.js";
import {pictureOf} from "./wire.js";

const SVG = "http://www.w3.org/2000/svg";
const BAR = 80;

const signed = (number) => number.toFixed(2).replace("-", "\u2212");

export class CellList {
  constructor(list, count, choose) {
    this.list = list;
    this.count = count;
    this.choose = choose;
    this.rows = new Map();
    this.tracks = [];
    list.addEventListener("keydown", (event) => this.pressed(event));
    list.addEventListener("click", (event) => {
      const row = event.target.closest("[role=option]");
      if (row) this.choose(Number(row.dataset.track));
    });
  }

  draw(frame, {selected, quantity, scale, thumbnails}) {
    const sheet = pictureOf(frame, "thumbnails")?.bitmap;
    const listed = frame.cells.slice(0, thumbnails.most).map((cell, index) => [cell, index]);
    listed.sort(([one], [other]) => one.track - other.track);
    const tracks = listed.map(([cell]) => cell.track);
    for (const [track, row] of this.rows) {
      if (!tracks.includes(track)) {
        row.element.remove();
        this.rows.delete(track);
      }
    }
    listed.forEach(([cell, index], order) => {
      const row = this.rows.get(cell.track) ?? this.add(cell.track);
      if (this.list.children[order] !== row.element) this.list.insertBefore(row.element, this.list.children[order] ?? null);
      this.fill(row, cell, quantity, scale);
      const {side, columns} = thumbnails;
      row.pen.drawImage(sheet, (index % columns) * side, Math.floor(index / columns) * side, side, side, 0, 0, side, side);
      this.set(row.element, "aria-selected", String(cell.track === selected));
    });
    this.tracks = tracks;
    const good = frame.cells.filter((cell) => !cell.abstained).length;
    const text = `${good} of ${frame.cells.length} with a number`;
    if (this.count.textContent !== text) this.count.textContent = text;
    if (this.rows.has(selected)) this.set(this.list, "aria-activedescendant", `cell-${selected}`);
    else this.list.removeAttribute("aria-activedescendant");
  }

  add(track) {
    const element = document.createElement("li");
    element.id = `cell-${track}`;
    element.dataset.track = track;
    element.setAttribute("role", "option");
    const picture = document.createElement("canvas");
    picture.width = picture.height = 64;
    picture.className = "thumbnail stained";
    picture.setAttribute("aria-hidden", "true");
    const number = Object.assign(document.createElement("span"), {className: "number", textContent: `#${track}`});
    const value = Object.assign(document.createElement("span"), {className: "value"});
    const bar = document.createElementNS(SVG, "svg");
    bar.setAttribute("viewBox", `0 0 ${BAR} 12`);
    bar.setAttribute("class", "bar");
    bar.setAttribute("aria-hidden", "true");
    const line = bar.appendChild(document.createElementNS(SVG, "line"));
    const dot = bar.appendChild(document.createElementNS(SVG, "circle"));
    dot.setAttribute("r", "4");
    dot.setAttribute("cy", "6");
    line.setAttribute("y1", "6");
    line.setAttribute("y2", "6");
    const why = Object.assign(document.createElement("span"), {className: "why"});
    const between = Object.assign(document.createElement("span"), {className: "between"});
    element.append(picture, number, value, between, bar, why);
    const row = {element, pen: picture.getContext("2d"), value, between, bar, line, dot, why, shown: ""};
    this.rows.set(track, row);
    return row;
  }

  fill(row, cell, quantity, scale) {
    const [value, low, high, frames] = cell.steady[quantity] ?? [null, null, null, 0];
    const known = frames > 0 && value !== null;
    const shown = [known && value.toFixed(2), low?.toFixed(3), high?.toFixed(3), cell.abstained, scale.high].join("|");
    if (row.shown === shown) return;
    row.shown = shown;
    row.element.classList.toggle("abstained", Boolean(cell.abstained));
    row.value.textContent = cell.abstained ? "?" : known ? value.toFixed(2) : "…";
    row.why.textContent = cell.abstained;
    const clear = known && !cell.abstained;
    const interval = clear && low !== null && high !== null;
    row.between.textContent = interval ? `${signed(low)} to ${signed(high)}` : "";
    row.between.hidden = !clear;
    row.bar.toggleAttribute("hidden", !clear);
    const number = interval ? `${value.toFixed(2)}, between ${low.toFixed(2)} and ${high.toFixed(2)}` : known ? value.toFixed(2) : "not yet known";
    const spoken = cell.abstained ? `no number, because ${cell.abstained}` : number;
    row.element.setAttribute("aria-label", `Cell ${cell.track}: ${spoken}`);
    if (!known) return;
    const at = (number) => 4 + (BAR - 8) * place(number, scale);
    row.line.setAttribute("x1", at(low ?? value));
    row.line.setAttribute("x2", at(high ?? value));
    row.dot.setAttribute("cx", at(value));
    row.dot.setAttribute("fill", cell.abstained ? abstainedColour() : colourOf(value, scale));
  }

  set(element, name, value) {
    if (element.getAttribute(name) !== value) element.setAttribute(name, value);
  }

  step(selected, by) {
    if (!this.tracks.length) return;
    const at = this.tracks.indexOf(selected);
    const next = at < 0 ? (by > 0 ? 0 : this.tracks.length - 1) : Math.min(this.tracks.length - 1, Math.max(0, at + by));
    this.choose(this.tracks[next]);
    this.rows.get(this.tracks[next])?.element.scrollIntoView({block: "nearest"});
  }

  pressed(event) {
    const far = this.tracks.length;
    const by = {Home: -far, End: far, PageUp: -5, PageDown: 5}[event.key];
    if (by === undefined) return;
    event.preventDefault();
    const selected = Number(this.list.querySelector("[aria-selected=true]")?.dataset.track ?? NaN);
    this.step(selected, by);
  }
}

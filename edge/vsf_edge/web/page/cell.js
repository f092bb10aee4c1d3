// The chosen cell: crop and stains, value and interval, and why it may have no number.
import {pictureOf} from "./wire.js";

export class CellView {
  constructor(section) {
    this.find = (selector) => section.querySelector(selector);
    this.crops = this.find(".crops");
    this.drawn = null;
    this.said = "";
  }

  setStains(stains) {
    this.crops.replaceChildren(
      this.crop("cell-brightfield", "brightfield", ""),
      this.crop("cell-stains", "both stains", "stained"),
      ...stains.slice(0, 3).map((name, index) => this.crop("cell-stains", name, `stain-${index}`)),
    );
    if (stains.length < 2) this.crops.children[1].remove();
  }

  crop(source, label, style) {
    const figure = document.createElement("figure");
    const canvas = document.createElement("canvas");
    canvas.className = style;
    canvas.dataset.source = source;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", label);
    figure.append(canvas, Object.assign(document.createElement("figcaption"), {textContent: label}));
    return figure;
  }

  draw(frame, {selected, quantity, unit}) {
    const none = selected === null;
    this.show("#cell-none", none);
    this.show("#cell-body", !none);
    this.show("#unselect", !none);
    this.write("#cell-title", none ? "Cell" : `Cell #${selected}`);
    if (none) {
      this.drawn = null;
      this.said = "";
      return;
    }
    const cell = frame.cells.find(({track}) => track === selected);
    if (cell) this.describe(cell, quantity, unit);
    else if (this.drawn === selected) this.write("#cell-more", "It has left the field; this is how it was last seen.");
    else this.write("#cell-more", "It is not in the field now.");
    for (const canvas of this.crops.querySelectorAll("canvas")) {
      const picture = pictureOf(frame, canvas.dataset.source, selected);
      if (picture) {
        if (canvas.width !== picture.width) canvas.width = picture.width;
        if (canvas.height !== picture.height) canvas.height = picture.height;
        canvas.getContext("2d").drawImage(picture.bitmap, 0, 0);
        this.drawn = selected;
      } else if (this.drawn !== selected) canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
    }
  }

  describe(cell, quantity, unit) {
    const [value, low, high, frames] = cell.steady[quantity] ?? [null, null, null, 0];
    const known = frames > 0 && value !== null;
    const name = quantity === "dfi" ? "DFI" : quantity;
    const suffix = unit === "1" || !unit ? "" : ` ${unit}`;
    const bad = Boolean(cell.abstained);
    this.write("#cell-value", known && !bad ? `${name} ${value.toFixed(3)}${suffix}` : `${name} ?`);
    const interval = low === null || high === null ? "no interval is known" : `between ${low.toFixed(3)} and ${high.toFixed(3)}${suffix}`.replaceAll("-", "\u2212");
    this.write("#cell-between", known && !bad ? interval : "no number in this frame");
    this.show("#cell-reason", bad);
    this.write("#cell-reason", bad ? `Abstained, because ${cell.abstained}.` : "");
    const over = known ? `${bad ? `from its good frames: ${value.toFixed(3)}, ` : ""}over ${frames} good frame${frames === 1 ? "" : "s"}` : "no good frame yet";
    this.write("#cell-more", `${over} · head ${Math.round(cell.full)} px long`);
    const spoken = bad ? `Cell ${cell.track}: no number, because ${cell.abstained}` : `Cell ${cell.track}: ${known ? `${name} ${value.toFixed(2)}, ${interval}` : "not yet known"}`;
    const key = `${cell.track}${bad}${known}`;
    if (this.said !== key) this.write("#say", spoken);
    this.said = key;
  }

  show(selector, on) {
    this.find(selector).hidden = !on;
  }

  write(selector, text) {
    const element = this.find(selector);
    if (element.textContent !== text) element.textContent = text;
  }
}

// The distribution over all cells of the session, in the colours of the scale, and the cells in view below it.
import {colourAt, place} from "./colours.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 1000;
const HEIGHT = 100;
const TICKS = 7;

export class Histogram {
  constructor(section) {
    this.svg = section.querySelector("svg");
    this.axis = section.querySelector(".axis");
    this.title = section.querySelector("h2");
    this.text = section.querySelector("p");
    this.svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT + 14}`);
    this.bars = [];
    this.shown = "";
  }

  draw(frame, {selected, quantity, scale}) {
    const {counts, cells, median} = frame.distributions[quantity];
    const view = frame.cells
      .filter((cell) => !cell.abstained && cell.steady[quantity]?.[3] > 0)
      .map((cell) => [cell.track, cell.steady[quantity][0]]);
    const shown = JSON.stringify([quantity, counts, scale, view.map(([track, value]) => [track, value.toFixed(3)]), selected]);
    if (shown === this.shown) return;
    this.shown = shown;
    const name = quantity === "dfi" ? "DFI" : quantity;
    this.title.textContent = `${name} of all cells so far`;
    this.text.textContent = cells ? `${cells} cells, median ${median.toFixed(2)}` : "no cell has a number yet";
    const most = Math.max(1, ...counts);
    const step = WIDTH / counts.length;
    const parts = counts.map((count, index) => {
      const high = count ? Math.max(2, (HEIGHT * count) / most) : 0;
      return this.shape("rect", {
        x: index * step + 2, y: HEIGHT - high, width: step - 4, height: high, fill: colourAt((index + 0.5) / counts.length),
      });
    });
    parts.push(this.shape("line", {x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT, class: "ground"}));
    for (const [track, value] of view) {
      const at = WIDTH * place(value, scale);
      parts.push(this.shape("line", {x1: at, x2: at, y1: HEIGHT + 3, y2: HEIGHT + 14, class: track === selected ? "chosen" : "here"}));
      if (track === selected) parts.push(this.shape("line", {x1: at, x2: at, y1: 0, y2: HEIGHT, class: "chosen"}));
    }
    this.svg.replaceChildren(...parts);
    const labels = [...Array(TICKS).keys()].map((tick) => {
      const value = scale.low + ((scale.high - scale.low) * tick) / (TICKS - 1);
      return Object.assign(document.createElement("span"), {textContent: `${tick === TICKS - 1 ? "≥ " : ""}${Number(value.toFixed(3))}`});
    });
    this.axis.replaceChildren(...labels);
  }

  shape(kind, attributes) {
    const shape = document.createElementNS(SVG, kind);
    for (const [name, value] of Object.entries(attributes)) shape.setAttribute(name, value);
    return shape;
  }
}

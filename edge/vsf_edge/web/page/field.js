// Draws the field: both pictures, the outlines of the heads on them, and which head was clicked.
import {abstainedColour, colourOf} from "./colours.js";
import {pictureOf} from "./wire.js";

const HALO = "rgb(8 10 14 / 0.75)";
const REACH = 1.35;

export class Field {
  constructor(figure, name, options) {
    this.name = name;
    this.stage = figure.querySelector(".stage");
    this.figure = figure;
    this.picture = figure.querySelector(".picture");
    this.marks = figure.querySelector(".marks");
    this.options = options; // {outline: [along, across], coloured: bool}
    this.frame = null;
    this.marks.addEventListener("click", (event) => this.clicked(event));
    new ResizeObserver(() => this.frame && this.drawMarks()).observe(this.stage);
  }

  draw(frame, view) {
    this.frame = frame;
    this.view = view; // {selected, labels, quantity, scale, outline}
    const {bitmap, width, height} = pictureOf(frame, this.name);
    if (this.picture.width !== width || this.picture.height !== height) {
      this.picture.width = width;
      this.picture.height = height;
      this.figure.style.setProperty("--ratio", width / height);
    }
    this.picture.getContext("2d").drawImage(bitmap, 0, 0);
    this.drawMarks();
  }

  drawMarks() {
    const {clientWidth, clientHeight} = this.stage;
    const dots = window.devicePixelRatio || 1;
    if (this.marks.width !== Math.round(clientWidth * dots) || this.marks.height !== Math.round(clientHeight * dots)) {
      this.marks.width = Math.round(clientWidth * dots);
      this.marks.height = Math.round(clientHeight * dots);
    }
    const pen = this.marks.getContext("2d");
    const zoom = clientWidth / this.picture.width;
    pen.setTransform(dots, 0, 0, dots, 0, 0);
    pen.clearRect(0, 0, clientWidth, clientHeight);
    for (const cell of this.frame.cells) this.drawCell(pen, cell, zoom);
  }

  drawCell(pen, cell, zoom) {
    const {selected, labels, quantity, scale, outline} = this.view;
    const chosen = cell.track === selected;
    const readout = cell.abstained ? null : cell.steady[quantity];
    const value = readout && readout[3] > 0 ? readout[0] : null;
    if (!this.options.coloured && !chosen && value !== null) return;
    const [x, y] = [(cell.x + 0.5) * zoom, (cell.y + 0.5) * zoom];
    const [along, across] = outline.map((share) => Math.max(4, share * cell.length * zoom));
    const colour = value === null ? abstainedColour() : colourOf(value, scale);
    pen.setLineDash([]);
    if (chosen) this.ring(pen, x, y, along + 5, across + 5, cell.angle, "#fff", 1.5);
    this.ring(pen, x, y, along, across, cell.angle, HALO, 4);
    pen.setLineDash(value === null ? [5, 4] : []);
    this.ring(pen, x, y, along, across, cell.angle, colour, 2);
    if (!labels && !chosen) return;
    const high = Math.hypot(along * Math.sin(cell.angle), across * Math.cos(cell.angle));
    this.write(pen, value === null ? "?" : value.toFixed(2), x, y - high - 6);
  }

  ring(pen, x, y, along, across, angle, colour, width) {
    pen.beginPath();
    pen.ellipse(x, y, along, across, angle, 0, 2 * Math.PI);
    pen.strokeStyle = colour;
    pen.lineWidth = width;
    pen.stroke();
  }

  write(pen, text, x, y) {
    pen.setLineDash([]);
    pen.font = "600 12px system-ui, sans-serif";
    pen.textAlign = "center";
    pen.lineJoin = "round";
    pen.lineWidth = 3.5;
    pen.strokeStyle = HALO;
    const low = Math.max(14, y);
    pen.strokeText(text, x, low);
    pen.fillStyle = "#fff";
    pen.fillText(text, x, low);
  }

  clicked(event) {
    if (!this.frame) return;
    const zoom = this.stage.clientWidth / this.picture.width;
    const [x, y] = [event.offsetX / zoom, event.offsetY / zoom];
    const near = this.frame.cells
      .map((cell) => ({track: cell.track, far: Math.hypot(cell.x - x, cell.y - y) / (cell.length * this.view.outline[0])}))
      .filter(({far}) => far < REACH)
      .sort((one, other) => one.far - other.far);
    this.figure.dispatchEvent(new CustomEvent("choose", {bubbles: true, detail: near[0]?.track ?? null}));
  }
}

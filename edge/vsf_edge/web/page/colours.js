// The colour scale of values; its stops come from the server, so that every picture has the same.
let stops = [];
let grey = "#b2b8c0";

const css = ([red, green, blue]) => `rgb(${red} ${green} ${blue})`;

export function setColours({scale, abstained}) {
  stops = scale;
  grey = css(abstained);
}

export const abstainedColour = () => grey;

export function place(value, {low, high}) {
  return Math.min(1, Math.max(0, (value - low) / (high - low)));
}

export function colourAt(share) {
  const at = share * (stops.length - 1);
  const index = Math.min(stops.length - 2, Math.floor(at));
  return css(stops[index].map((from, channel) => Math.round(from + (stops[index + 1][channel] - from) * (at - index))));
}

export const colourOf = (value, scale) => colourAt(place(value, scale));

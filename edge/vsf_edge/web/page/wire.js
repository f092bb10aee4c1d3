// Reads what the server sends: one binary message is a frame, header and pictures together.
const text = new TextDecoder();

export async function readFrame(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const frame = JSON.parse(text.decode(new Uint8Array(buffer, 4, length)));
  let start = 4 + length;
  const decoded = frame.pictures.map((picture) => {
    const jpeg = new Blob([new Uint8Array(buffer, start, picture.bytes)], {type: "image/jpeg"});
    start += picture.bytes;
    return createImageBitmap(jpeg);
  });
  const bitmaps = await Promise.all(decoded);
  frame.pictures.forEach((picture, index) => { picture.bitmap = bitmaps[index]; });
  return frame;
}

export const pictureOf = (frame, name, track) =>
  frame.pictures.find((picture) => picture.name === name && picture.track === track);

export function letGo(frame) {
  frame.pictures.forEach((picture) => picture.bitmap.close());
}

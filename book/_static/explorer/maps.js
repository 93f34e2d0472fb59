/* Arrays out of the data files, faces with maps over them on a canvas, bars. Shared by the two pages. */
"use strict";

window.ferlibMaps = (function () {
  const SIDE = 240; // pixels of a canvas

  /* Text of base64 to bytes. */
  function fromBase64(text) {
    return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  }

  /* Gzipped bytes in base64 to bytes; works from file:// too, where nothing can be fetched. */
  async function unpack(text) {
    const stream = new Blob([fromBase64(text)]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  /* The part of an array (n, ..., h, w) at the leading indices, uint8. */
  function part(bytes, place, ...index) {
    let size = 1;
    for (const n of place.shape.slice(index.length)) size *= n;
    let offset = 0;
    index.forEach((k, axis) => (offset = offset * place.shape[axis] + k));
    return bytes.subarray(place.at + offset * size, place.at + (offset + 1) * size);
  }

  /* Values (h, w) stretched over (H, W): bilinear as torch's align_corners=False, or each cell as it is. */
  function stretch(values, h, w, H, W, smooth) {
    const out = new Float32Array(H * W);
    const rows = places(h, H, smooth);
    const columns = places(w, W, smooth);
    for (let y = 0; y < H; y++) {
      const [y0, y1, fy] = rows[y];
      for (let x = 0; x < W; x++) {
        const [x0, x1, fx] = columns[x];
        const top = values[y0 * w + x0] * (1 - fx) + values[y0 * w + x1] * fx;
        const bottom = values[y1 * w + x0] * (1 - fx) + values[y1 * w + x1] * fx;
        out[y * W + x] = top * (1 - fy) + bottom * fy;
      }
    }
    return out;
  }

  function places(n, N, smooth) {
    return Array.from({ length: N }, (_, i) => {
      const at = ((i + 0.5) * n) / N;
      if (!smooth) return [Math.floor(at), Math.floor(at), 0];
      const low = Math.min(Math.max(at - 0.5, 0), n - 1);
      return [Math.floor(low), Math.min(Math.floor(low) + 1, n - 1), low - Math.floor(low)];
    });
  }

  /* A grey face (h, w), 0 to 255; over it, where there is one, a map {values (h, w) in 0 to 1, h, w}. */
  function paint(canvas, face, map, options) {
    const { palette, opacity, smooth } = options;
    canvas.width = canvas.height = SIDE;
    const context = canvas.getContext("2d");
    const image = context.createImageData(SIDE, SIDE);
    const grey = stretch(face.values, face.h, face.w, SIDE, SIDE, true);
    const heat = map && stretch(map.values, map.h, map.w, SIDE, SIDE, smooth);
    for (let i = 0; i < grey.length; i++) {
      const colour = heat ? 3 * Math.round(255 * Math.min(Math.max(heat[i], 0), 1)) : 0;
      for (let c = 0; c < 3; c++) {
        image.data[4 * i + c] = heat ? grey[i] * (1 - opacity) + palette[colour + c] * opacity : grey[i];
      }
      image.data[4 * i + 3] = 255;
    }
    context.putImageData(image, 0, 0);
    if (options.outline) drawOutline(context, options.outline, face.h, face.w);
  }

  /* The border of a mask (h, w), light on dark so that it shows on any ground. */
  function drawOutline(context, mask, h, w) {
    const cell = SIDE / w;
    const inside = (y, x) => y >= 0 && x >= 0 && y < h && x < w && mask[y * w + x];
    context.beginPath();
    for (let y = 0; y <= h; y++) {
      for (let x = 0; x <= w; x++) {
        if (Boolean(inside(y, x)) !== Boolean(inside(y, x - 1))) {
          context.moveTo(x * cell, y * cell);
          context.lineTo(x * cell, (y + 1) * cell);
        }
        if (Boolean(inside(y, x)) !== Boolean(inside(y - 1, x))) {
          context.moveTo(x * cell, y * cell);
          context.lineTo((x + 1) * cell, y * cell);
        }
      }
    }
    for (const [colour, width] of [["#000", 4], ["#fff", 1.75]]) {
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.lineCap = "round";
      context.stroke();
    }
  }

  /* Where the largest value of a map lies, in words. */
  function strongest(values, h, w) {
    const at = values.indexOf(values.reduce((a, b) => Math.max(a, b)));
    const third = (k, n, words) => words[Math.min(Math.floor((3 * (k + 0.5)) / n), 2)];
    const row = third(Math.floor(at / w), h, ["top", "middle", "bottom"]);
    const column = third(at % w, w, ["left", "centre", "right"]);
    return row === "middle" && column === "centre" ? "centre" : `${row} ${column}`;
  }

  /* The colours from 0 to 1. */
  function paintScale(canvas, palette) {
    canvas.width = 256;
    canvas.height = 1;
    const context = canvas.getContext("2d");
    const image = context.createImageData(256, 1);
    for (let i = 0; i < 256; i++) {
      for (let c = 0; c < 3; c++) image.data[4 * i + c] = palette[3 * i + c];
      image.data[4 * i + 3] = 255;
    }
    context.putImageData(image, 0, 0);
  }

  function percent(share, digits = 1) {
    return `${(100 * share).toFixed(digits)} %`;
  }

  /* Where a class stands in the book's figures: in FER2013's order, contempt last. */
  const PLACES = ["ang", "disg", "fear", "happ", "sad", "surp", "neut", "cont"];

  function place(name) {
    const found = PLACES.findIndex((start) => name.startsWith(start));
    return found < 0 ? PLACES.length : found;
  }

  function inOrder(names) {
    return [...names].sort((a, b) => place(a) - place(b));
  }

  /* One bar for each class in a list, shown in the book's order; the largest is marked. */
  function bars(list, names, shares) {
    const best = shares.indexOf(Math.max(...shares));
    while (list.children.length < names.length) {
      const row = document.createElement("li");
      for (const kind of ["name", "track", "value"]) {
        const span = document.createElement("span");
        span.className = `fx-${kind}`;
        row.append(span);
      }
      row.children[1].append(document.createElement("span"));
      list.append(row);
    }
    names.forEach((name, i) => {
      const [label, track, value] = list.children[i].children;
      label.textContent = name;
      track.firstChild.style.width = `${100 * shares[i]}%`;
      value.textContent = percent(shares[i]);
      list.children[i].classList.toggle("fx-best", i === best);
      list.children[i].style.order = place(name);
    });
  }

  /* Options of a <select>: [value, text] pairs; keeps the choice where it is still there. */
  function fill(select, choices, wanted) {
    const before = wanted === undefined ? select.value : wanted;
    select.replaceChildren(...choices.map(([value, text]) => new Option(text, value)));
    if (choices.some(([value]) => value === before)) select.value = before;
  }

  /* Radio buttons in a <fieldset>, one for each name; the wanted one, or the one before, is checked. */
  function radios(fieldset, name, choices, wanted) {
    const before = wanted === undefined ? chosen(fieldset) : wanted;
    fieldset.querySelectorAll("label").forEach((label) => label.remove());
    choices.forEach(([value, text], i) => {
      const label = document.createElement("label");
      const input = document.createElement("input");
      Object.assign(input, { type: "radio", name, value, checked: i === 0 });
      const shown = document.createElement("span");
      shown.textContent = text;
      label.append(input, shown);
      fieldset.append(label);
    });
    fieldset.querySelectorAll("input").forEach((input) => {
      if (input.value === before) input.checked = true;
    });
  }

  function chosen(fieldset) {
    const input = fieldset.querySelector("input:checked");
    return input ? input.value : undefined;
  }

  function setText(element, text) {
    if (element.textContent !== text) element.textContent = text;
  }

  return {
    fromBase64, unpack, part, stretch, paint, paintScale, strongest, percent, inOrder, bars, fill, radios, chosen,
    setText,
  };
})();

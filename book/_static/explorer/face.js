/* The page `your_face`: a network in the reader's browser. No picture leaves the page. */
"use strict";

(function () {
  const maps = window.ferlibMaps;
  const data = window.FERLIB_FACE;
  const root = document.getElementById("fx-face");
  const get = (selector) => root.querySelector(selector);
  const note = get(".fx-note");
  const start = get("button[name=load]");
  const here = document.currentScript.src.replace(/[^/]*$/, "data/");

  const problem = data ? missing() : "The data of this page were not made.";
  if (data) get(".fx-about").textContent = about();
  if (problem) {
    tell(problem);
    start.parentElement.hidden = true;
    root.classList.add("fx-ready");
    return;
  }
  start.textContent = `Load the network (${data.megabytes} MB)`;
  start.disabled = false;
  root.classList.add("fx-ready");
  start.addEventListener("click", load);

  const form = get("form");
  const fields = form.elements;
  const crop = get(".fx-crop");
  const seen = get(".fx-seen");
  let palette, session, examples;
  let picture = null; // {image, width, height}, an image, a canvas or the camera's video
  let result = null; // what the network said last
  let asked = 0; // counts requests: an answer to an older one is dropped
  let stream = null;

  function missing() {
    if (data.missing) return `The network that runs in a browser is not part of this build: ${data.missing}.`;
    if (location.protocol === "file:") {
      return (
        "This page was opened from disk, where a browser loads no network. In the folder with the book's index.html " +
        "run: python -m http.server, and open http://localhost:8000. In a checkout: ferlib book serve."
      );
    }
    if (!window.WebAssembly || !window.DecompressionStream) return "This browser is too old to run a network.";
    return null;
  }

  function about() {
    const run = data.profile === "full" ? "" : ` (${data.profile} run)`;
    const images = data.train_images ? `${data.train_images.toLocaleString("en")} images of ` : "";
    const from = data.data === "synthetic" ? "drawn faces, so it knows no real one" : data.data;
    const right = `right on ${maps.percent(data.accuracy)} of ${data.n.toLocaleString("en")} test images`;
    const twice = data.mirror ? " It looks at a picture and its mirror image and takes the mean." : "";
    return `The network: ${data.title}${run}. Trained on ${images}${from}; ${right}.${twice}`;
  }

  function tell(text) {
    maps.setText(note, text || "");
    note.hidden = !text;
  }

  /* -- loading ------------------------------------------------------------------------------------------- */

  function script(url) {
    return new Promise((resolve, reject) => {
      const element = document.createElement("script");
      Object.assign(element, { src: url, onload: resolve, onerror: () => reject(new Error("cannot load a file")) });
      document.head.append(element);
    });
  }

  async function load() {
    start.disabled = true;
    start.textContent = "Loading …";
    try {
      if (!window.ort) await script(`${here}runtime/ort.wasm.min.js`);
      Object.assign(window.ort.env.wasm, { numThreads: 1, wasmPaths: `${here}runtime/` });
      session = await window.ort.InferenceSession.create(`${here}face.onnx`, { executionProviders: ["wasm"] });
      const bytes = await maps.unpack(data.bytes);
      const [h, w] = data.images.shape.slice(1);
      examples = data.examples.map((_, i) => drawnFace(maps.part(bytes, data.images, i), h, w));
    } catch (error) {
      tell(`The network could not be loaded (${error.message}).`);
      start.disabled = false;
      start.textContent = "Try again";
      return;
    }
    begin();
  }

  function begin() {
    tell("");
    start.parentElement.hidden = true;
    get(".fx-work").hidden = false;
    const size = data.network.size;
    get("figcaption").textContent = `what the network sees, ${size}×${size} pixels`;
    palette = maps.fromBase64(data.palette);
    maps.paintScale(get(".fx-scale canvas"), palette);
    maps.fill(get("[name=example]"), [["", "…"], ...data.examples.map((name, i) => [String(i), name])]);
    const classes = maps.inOrder(data.classes).map((name) => [String(data.classes.indexOf(name)), name]);
    maps.fill(fields.explained, [["", "the most likely one"], ...classes]);
    const others = data.network.outputs.slice(2).map((name) => [name, name.replace("attention/", "own attention ")]);
    maps.fill(fields.map, [["cam", "class activation map"], ...others]);
    fields.opacity.value = Math.round(100 * data.opacity);
    get("[name=example]").addEventListener("change", chooseExample);
    get("[name=file]").addEventListener("change", chooseFile);
    get("[name=camera]").addEventListener("click", switchCamera);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", (event) => {
      if (["size", "across", "down"].includes(event.target.name)) predict();
      else show();
    });
    crop.addEventListener("pointerdown", drag);
    window.addEventListener("pagehide", stopCamera);
    get("[name=example]").value = String(data.examples.indexOf("happy"));
    chooseExample();
  }

  /* -- pictures ------------------------------------------------------------------------------------------ */

  function drawnFace(values, h, w) {
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width: w, height: h });
    const pixels = new ImageData(w, h);
    values.forEach((v, i) => pixels.data.set([v, v, v, 255], 4 * i));
    canvas.getContext("2d").putImageData(pixels, 0, 0);
    return canvas;
  }

  function chooseExample() {
    const value = get("[name=example]").value;
    if (value === "") return;
    stopCamera();
    const image = examples[Number(value)];
    take({ image, width: image.width, height: image.height, name: `drawn face, ${data.examples[Number(value)]}` });
  }

  async function chooseFile(event) {
    const file = event.target.files[0];
    if (!file) return;
    stopCamera();
    try {
      const image = await createImageBitmap(file, { imageOrientation: "from-image" });
      get("[name=example]").value = "";
      take({ image, width: image.width, height: image.height, name: "your picture" });
    } catch {
      tell("This file cannot be read as a picture; choose a JPEG, PNG or WebP file.");
    }
    event.target.value = ""; // the same file may be chosen again
  }

  function switchCamera() {
    if (!stream) return startCamera();
    stopCamera();
    return predict();
  }

  async function startCamera() {
    if (!navigator.mediaDevices) {
      tell("A browser gives its camera only to pages from https or from this machine (localhost).");
      return;
    }
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user" }, audio: false });
      const video = Object.assign(document.createElement("video"), { srcObject: stream, muted: true, playsInline: true });
      await video.play();
      get("[name=example]").value = "";
      take({ image: video, width: video.videoWidth, height: video.videoHeight, name: "camera" });
      camera("Stop the camera", true);
      follow(stream);
    } catch (error) {
      stopCamera();
      tell(`The camera cannot be used (${error.message}).`);
    }
  }

  function stopCamera() {
    if (!stream) return;
    if (picture && picture.name === "camera") freeze();
    stream.getTracks().forEach((track) => track.stop());
    stream = null;
    camera("Start the camera", false);
  }

  function camera(text, pressed) {
    const button = get("[name=camera]");
    button.textContent = text;
    button.setAttribute("aria-pressed", String(pressed));
    get(".fx-say").setAttribute("aria-live", pressed ? "off" : "polite"); // ten answers a second are not read out
  }

  /* The camera's last frame stays as a picture. */
  function freeze() {
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width: picture.width, height: picture.height });
    canvas.getContext("2d").drawImage(picture.image, 0, 0);
    picture = { ...picture, image: canvas, name: "last frame of the camera" };
  }

  /* Frame after frame while the camera runs; the next one when the network is done with this one. */
  async function follow(mine) {
    while (stream === mine) {
      await predict();
      await new Promise((resolve) => setTimeout(resolve, 60));
    }
  }

  function take(found) {
    tell("");
    picture = found;
    crop.width = Math.min(640, Math.max(320, found.width));
    crop.height = Math.round((crop.width * found.height) / found.width);
    fields.size.value = 100;
    fields.across.value = fields.down.value = 50;
    predict();
  }

  /* -- the square ---------------------------------------------------------------------------------------- */

  /* In pixels of the picture: the sliders say how large, and where between both ends. */
  function square() {
    const side = Math.max(1, Math.round((Math.min(picture.width, picture.height) * fields.size.value) / 100));
    const x = Math.round(((picture.width - side) * fields.across.value) / 100);
    const y = Math.round(((picture.height - side) * fields.down.value) / 100);
    return { x, y, side };
  }

  function drag(event) {
    if (!picture) return;
    event.preventDefault();
    crop.setPointerCapture(event.pointerId);
    const box = crop.getBoundingClientRect();
    const at = (e) => [
      ((e.clientX - box.left) / box.width) * picture.width,
      ((e.clientY - box.top) / box.height) * picture.height,
    ];
    const [x0, y0] = at(event);
    const from = square();
    const move = (e) => {
      const [x, y] = at(e);
      const slide = (field, place, room) => (field.value = room > 0 ? (100 * place) / room : 50);
      slide(fields.across, from.x + x - x0, picture.width - from.side);
      slide(fields.down, from.y + y - y0, picture.height - from.side);
      predict();
    };
    crop.addEventListener("pointermove", move);
    const end = () => crop.removeEventListener("pointermove", move);
    crop.addEventListener("pointerup", end, { once: true });
    crop.addEventListener("pointercancel", end, { once: true });
  }

  function drawCrop() {
    const context = crop.getContext("2d");
    const scale = crop.width / picture.width;
    const { x, y, side } = square();
    context.imageSmoothingEnabled = picture.width > 100;
    context.drawImage(picture.image, 0, 0, crop.width, crop.height);
    context.fillStyle = "rgb(0 0 0 / 45%)";
    context.beginPath();
    context.rect(0, 0, crop.width, crop.height);
    context.rect(x * scale, y * scale, side * scale, side * scale);
    context.fill("evenodd");
    context.strokeStyle = "#fff";
    context.lineWidth = 3;
    context.strokeRect(x * scale, y * scale, side * scale, side * scale);
    const place = `from ${x}, ${y}, side ${side} of ${picture.width}×${picture.height} pixels`;
    crop.setAttribute("aria-label", `${picture.name}, square ${place}`);
  }

  /* The square as grey in [0, 1], size x size: each pixel the mean of up to 8x8 of the picture (ITU-R BT.601). */
  function grey(size) {
    const { x, y, side } = square();
    const k = Math.min(8, Math.max(1, Math.floor(side / size)));
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = k * size;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.imageSmoothingQuality = "high";
    context.drawImage(picture.image, x, y, side, side, 0, 0, k * size, k * size);
    const pixels = context.getImageData(0, 0, k * size, k * size).data;
    const values = new Float32Array(size * size);
    for (let i = 0; i < pixels.length; i += 4) {
      const row = Math.floor(i / 4 / (k * size) / k);
      const column = Math.floor(((i / 4) % (k * size)) / k);
      const luma = 0.299 * pixels[i] + 0.587 * pixels[i + 1] + 0.114 * pixels[i + 2];
      values[row * size + column] += luma / 255 / (k * k);
    }
    return values;
  }

  /* -- prediction ---------------------------------------------------------------------------------------- */

  let queue = Promise.resolve(); // the runtime takes one picture at a time

  function predict() {
    const mine = ++asked;
    drawCrop();
    queue = queue.then(async () => {
      if (mine !== asked) return; // a newer square waits
      const size = data.network.size;
      const values = grey(size);
      try {
        const outputs = await session.run({ image: new window.ort.Tensor("float32", values, [1, 1, size, size]) });
        result = { values, size, outputs, name: picture.name };
        show();
      } catch (error) {
        tell(`The network failed on this picture (${error.message}).`);
      }
    });
    return queue;
  }

  function show() {
    const opacity = fields.opacity.value / 100;
    maps.setText(get("[data-of=opacity]"), maps.percent(opacity, 0));
    if (!result) return;
    const shares = Array.from(result.outputs.probabilities.data);
    const best = shares.indexOf(Math.max(...shares));
    const wanted = fields.explained.value === "" ? best : Number(fields.explained.value);
    const map = chosenMap(wanted);
    const face = { values: result.values.map((v) => 255 * v), h: result.size, w: result.size };
    maps.paint(seen, face, map, { palette, opacity, smooth: !fields.cells.checked });
    maps.bars(get(".fx-bars"), data.classes, shares);
    const own = fields.map.value === "cam" ? `the map for ${data.classes[wanted]}` : `the map ${fields.map.value}`;
    const where = map.largest > 0 ? `is strongest at the ${maps.strongest(map.values, map.h, map.w)}` : "is zero everywhere";
    seen.setAttribute("aria-label", `${result.name} in ${result.size}×${result.size} pixels; ${own} ${where}`);
    const answer = `${data.classes[best]} (${maps.percent(shares[best])}); ${own} ${where}.`;
    maps.setText(get(".fx-say"), answer[0].toUpperCase() + answer.slice(1));
  }

  /* What speaks for a class, divided by its largest cell; or a spatial attention map of the network's own. */
  function chosenMap(wanted) {
    const output = result.outputs[fields.map.value];
    const [h, w] = output.dims.slice(2);
    const first = fields.map.value === "cam" ? wanted * h * w : 0;
    const values = output.data.slice(first, first + h * w).map((v) => Math.max(v, 0));
    const largest = values.reduce((a, b) => Math.max(a, b), 0);
    return { values: values.map((v) => (largest ? v / largest : 0)), h, w, largest };
  }
})();

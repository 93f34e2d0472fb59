/* The page `explorer`: class-mean maps of trained networks, and maps on synthetic faces. */
"use strict";

(async function () {
  const maps = window.ferlibMaps;
  const data = window.FERLIB_EXPLORER;
  const parts = ["fx-means", "fx-synthetic"].map((id) => document.getElementById(id));
  if (!data || !window.DecompressionStream) {
    const why = data ? "This browser is too old to unpack the data." : "The data of this page were not made.";
    for (const part of parts) part.querySelector(".fx-say").textContent = why;
    return;
  }
  const bytes = await maps.unpack(data.bytes);
  const palette = maps.fromBase64(data.palette);
  document.querySelectorAll(".fx-scale canvas").forEach((canvas) => maps.paintScale(canvas, palette));
  showMeans(parts[0]);
  showSynthetic(parts[1]);

  function begin(root, update) {
    const form = root.querySelector("form");
    form.elements.opacity.value = Math.round(100 * data.opacity);
    form.addEventListener("input", update);
    form.addEventListener("submit", (event) => event.preventDefault());
    update();
    root.classList.add("fx-ready");
  }

  function look(form) {
    const opacity = form.elements.opacity.value / 100;
    maps.setText(form.querySelector("[data-of=opacity]"), maps.percent(opacity, 0));
    return { palette, opacity, smooth: !form.elements.cells.checked };
  }

  /* -- class means --------------------------------------------------------------------------------------- */

  function showMeans(root) {
    const runs = data.means.runs;
    const form = root.querySelector("form");
    if (!runs.length) {
      form.remove();
      root.querySelector(".fx-panels").remove();
      root.querySelector(".fx-scale").remove();
      root.querySelector(".fx-say").textContent = "No run has left maps yet.";
      root.classList.add("fx-ready");
      return;
    }
    const panels = root.querySelectorAll("figure");
    const fieldset = form.querySelector("fieldset");
    const names = runs.map((run) => [run.id, `${run.paper}: ${run.name}, ${run.data}`]);
    maps.fill(form.elements.run, names);
    maps.fill(form.elements.other, [["", "nothing"], ...names]);
    const first = runs.find(attends) || runs[0];
    form.elements.run.value = first.id;
    if (companion(first)) form.elements.other.value = companion(first).id;
    begin(root, update);

    /* To begin with, a network with attention of its own and one of the same paper without. */
    function companion(run) {
      const others = runs.filter((other) => other !== run && other.data === run.data);
      const same = others.filter((other) => other.paper === run.paper);
      return same.find((other) => !attends(other)) || same[0] || others[0];
    }

    function attends(run) {
      return run.layers.some((layer) => layer.kind === "attention");
    }

    function update() {
      const run = runs.find((one) => one.id === form.elements.run.value);
      const other = runs.find((one) => one.id === form.elements.other.value);
      const choices = run.layers.map((layer) => [layer.name, title(layer)]);
      const kept = choices.some(([value]) => value === form.elements.layer.value);
      maps.fill(form.elements.layer, choices, kept ? undefined : run.default);
      maps.radios(fieldset, "class", maps.inOrder(run.classes).map((name) => [name, name]));
      const layer = run.layers.find((one) => one.name === form.elements.layer.value);
      const shown = [{ run, layer }];
      if (other) shown.push({ run: other, layer: likewise(run, layer, other) });
      draw(shown, maps.chosen(fieldset), look(form));
    }

    function title(layer) {
      return `${layer.title}, ${layer.grid.join("×")}`;
    }

    /* In another network: the layer of the same name, else the one as far from the end among its kind. */
    function likewise(run, layer, other) {
      const same = other.layers.find((one) => one.name === layer.name && one.kind === layer.kind);
      if (same) return same;
      const kind = (one) => one.kind === layer.kind;
      const from = run.layers.filter(kind).reverse().indexOf(layer);
      const found = other.layers.filter(kind).reverse();
      return found[Math.min(from, found.length - 1)];
    }

    function draw(shown, name, options) {
      const there = shown.filter((one) => one.layer);
      const low = Math.min(...there.map((one) => one.layer.low));
      const high = Math.max(...there.map((one) => one.layer.high));
      const said = [];
      panels.forEach((panel, i) => {
        panel.hidden = i >= shown.length;
        if (!panel.hidden) said.push(drawPanel(panel, shown[i], name, low, high, options));
      });
      const [first, last] = root.querySelectorAll(".fx-scale span");
      maps.setText(first, String(Number(low.toFixed(2))));
      maps.setText(last, String(Number(high.toFixed(2))));
      maps.setText(root.querySelector(".fx-say"), said.join(" "));
    }

    function drawPanel(panel, { run, layer }, name, low, high, options) {
      const canvas = panel.querySelector("canvas");
      const k = run.classes.indexOf(name);
      const network = run.name.startsWith(run.paper) ? run.name : `${run.paper}: ${run.name}`;
      const heading = `${network}, seed ${run.seed}`;
      const right = `${maps.percent(run.accuracy)} of ${run.n} right`;
      const breakable = heading.replaceAll("+", "+\u200b"); // a line may end after a plus
      maps.setText(panel.querySelector("figcaption"), `${breakable}, ${right}`);
      if (k < 0) {
        canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
        const few = run.left_out[name];
        const text = few ? `${few} images of ${name} are too few for a mean.` : `${run.data} has no class ${name}.`;
        canvas.setAttribute("aria-label", `${heading}: ${text}`);
        return `${heading}: ${text}`;
      }
      const place = data.means.faces[run.faces];
      const face = { values: maps.part(bytes, place, k), h: place.shape[1], w: place.shape[2] };
      const what = `mean of ${run.counts[k]} ${run.part} images of ${name} in ${run.data}`;
      if (!layer) {
        maps.paint(canvas, face, null, options);
        const text = `${heading}: no spatial attention of its own. The face is the class's mean.`;
        canvas.setAttribute("aria-label", text);
        return text;
      }
      const [h, w] = layer.shape.slice(1);
      const step = (layer.high - layer.low) / 255;
      const values = Float32Array.from(maps.part(bytes, layer, k), (v) => (layer.low + v * step - low) / (high - low || 1));
      maps.paint(canvas, face, { values, h, w }, options);
      const zero = layer.kind === "cam" && layer.zero[k] ? `, ${layer.zero[k]} of them zero everywhere` : "";
      const text = `${heading}: ${title(layer)}, ${what}${zero}; strongest at the ${maps.strongest(values, h, w)}.`;
      canvas.setAttribute("aria-label", text);
      return text;
    }
  }

  /* -- synthetic faces ----------------------------------------------------------------------------------- */

  function showSynthetic(root) {
    const faces = data.synthetic;
    const form = root.querySelector("form");
    const canvas = root.querySelector("figure canvas");
    const [expression, person] = form.querySelectorAll("fieldset");
    const classes = faces.classes.map((name) => [name, name]);
    maps.radios(expression, "expression", classes, "happy");
    maps.radios(person, "person", faces.people.map((_, i) => [String(i), String(i + 1)]));
    maps.fill(form.elements.net, faces.nets.map((net) => [net.name, net.title]));
    maps.fill(form.elements.explained, [["", "the most likely one"], ...classes]);
    form.elements.intensity.max = faces.steps;
    for (const net of faces.nets) {
      const line = document.createElement("li");
      line.textContent = about(net);
      root.querySelector(".fx-about").append(line);
    }
    form.elements.intensity.value = faces.steps;
    begin(root, update);

    function about(net) {
      const faces = `${net.train_images.toLocaleString("en")} drawn faces`;
      return `${net.title}: learned from ${faces}, right on ${maps.percent(net.accuracy)} of ${net.n} others.`;
    }

    /* Pictures lie by person: neutral, then the other expressions at each step. */
    function index() {
      const c = faces.classes.indexOf(maps.chosen(expression));
      const step = Number(form.elements.intensity.value);
      const moving = faces.classes.filter((name) => name !== "neutral");
      const first = Number(maps.chosen(person)) * (1 + moving.length * faces.steps);
      const neutral = faces.classes[c] === "neutral" || step === 0;
      return neutral ? first : first + 1 + moving.indexOf(faces.classes[c]) * faces.steps + step - 1;
    }

    /* The mask of the regions that carry the drawn expression; null where there are none. */
    function carrying(i) {
      const name = Number(form.elements.intensity.value) ? maps.chosen(expression) : "neutral";
      const regions = faces.expressive[name];
      const bits = regions.reduce((sum, region) => sum + faces.regions[region], 0);
      return { regions, mask: bits ? maps.part(bytes, faces.masks, i).map((v) => v & bits) : null };
    }

    function probabilities(net, i) {
      const { at, shape } = net.probabilities;
      const view = new DataView(bytes.buffer, bytes.byteOffset + at + 2 * i * shape[1]);
      return Array.from({ length: shape[1] }, (_, c) => view.getUint16(2 * c, true) / 1000);
    }

    function update() {
      const net = faces.nets.find((one) => one.name === form.elements.net.value);
      const layers = net.layers.map((layer) => [layer.name, `${layer.title}, ${layer.grid.join("×")}`]);
      maps.fill(form.elements.layer, layers, form.elements.layer.value || layers[layers.length - 1][0]);
      if (!form.elements.layer.value) form.elements.layer.value = layers[layers.length - 1][0];
      const neutral = maps.chosen(expression) === "neutral";
      form.elements.intensity.disabled = neutral;
      const strength = neutral ? 0 : form.elements.intensity.value / faces.steps;
      maps.setText(form.querySelector("[data-of=intensity]"), maps.percent(strength, 0));
      draw(net, net.layers.find((one) => one.name === form.elements.layer.value), strength);
    }

    function draw(net, layer, strength) {
      const i = index();
      const shares = probabilities(net, i);
      const best = shares.indexOf(Math.max(...shares));
      const wanted = faces.classes.indexOf(form.elements.explained.value);
      const c = wanted < 0 ? best : wanted;
      const [h, w] = layer.grid;
      const values = Float32Array.from(maps.part(bytes, layer, i, c), (v) => v / (layer.levels - 1));
      const { regions, mask } = carrying(i);
      const [H, W] = faces.images.shape.slice(1);
      const face = { values: maps.part(bytes, faces.images, i), h: H, w: W };
      const outline = form.elements.outline.checked ? mask : null;
      maps.paint(canvas, face, { values, h, w }, { ...look(form), outline });
      maps.bars(root.querySelector(".fx-bars"), faces.classes, shares);
      const name = maps.chosen(expression);
      const drawn = strength ? `${name} at ${maps.percent(strength, 0)}` : "neutral";
      const where = values.some((v) => v > 0) ? `strongest at the ${maps.strongest(values, h, w)}` : "zero everywhere";
      const map = `Grad-CAM for ${faces.classes[c]} on ${layer.title}, ${where}`;
      canvas.setAttribute("aria-label", `Drawn face, ${drawn}. ${map}.`);
      const answer = `The face is drawn ${drawn}; the network says ${faces.classes[best]} (${maps.percent(shares[best])}).`;
      maps.setText(root.querySelector(".fx-say"), `${answer} ${map}. ${inside(values, h, w, regions, mask)}`);
    }

    /* How much of the map lies in the regions that carry the expression. */
    function inside(values, h, w, regions, mask) {
      if (!mask) return "A neutral face has no region that carries an expression.";
      const [H, W] = faces.images.shape.slice(1);
      const fine = maps.stretch(values, h, w, H, W, true);
      const total = fine.reduce((a, b) => a + b, 0);
      const within = fine.reduce((sum, v, k) => sum + (mask[k] ? v : 0), 0);
      const area = mask.reduce((n, v) => n + (v ? 1 : 0), 0) / mask.length;
      const share = total ? `${maps.percent(within / total, 0)} of the map lies` : "Nothing of the map lies";
      return `${share} in the regions that carry the expression (${regions.join(", ")}), ${maps.percent(area, 0)} of the picture.`;
    }
  }
})();

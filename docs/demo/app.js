import { Scorer } from "./scorer.js";

const MODEL = "dpiqa-lite0-int8.onnx", CAUSES = 4, LONGEST_SIDE = 4096;
const $ = id => document.getElementById(id);
const picture = $("picture"), overlay = $("overlay");
const pixels = picture.getContext("2d", { willReadFrequently: true });
let scorer, stream = null;

function show(reading) {
  $("value").textContent = reading.score.toFixed(1);
  $("band").textContent = reading.void ? `${reading.void}, nothing to see` : reading.band;
  $("time").textContent = `${picture.width} × ${picture.height} pixels, ${Math.round(reading.milliseconds)} ms`;
  $("causes").replaceChildren(...reading.causes.slice(0, CAUSES).map(([name, strength]) => {
    const row = document.createElement("li"), label = name.replaceAll("_", " ");
    const meter = Object.assign(document.createElement("meter"), { value: strength, ariaLabel: label });
    row.append(label, Object.assign(document.createElement("span"), { textContent: `${Math.round(100 * strength)} %` }), meter);
    return row;
  }));
  drawMap(reading.map);
}

function drawMap(map) {
  overlay.width = map?.width ?? 1;
  overlay.height = map?.height ?? 1;
  if (!map) return;
  const image = new ImageData(map.width, map.height);
  map.values.forEach((quality, index) => image.data.set([214, 40, 40, Math.max(0, (60 - quality) * 3)], 4 * index));
  overlay.getContext("2d").putImageData(image, 0, 0);
}

async function scoreSource(source, width, height) {
  $("hint").hidden = true;
  const scale = Math.min(1, LONGEST_SIDE / Math.max(width, height));
  picture.width = Math.round(width * scale);
  picture.height = Math.round(height * scale);
  pixels.drawImage(source, 0, 0, picture.width, picture.height);
  show(await scorer.score(pixels.getImageData(0, 0, picture.width, picture.height)));
}

async function scoreFile(file) {
  stopCamera();
  try {
    const bitmap = await createImageBitmap(file);
    await scoreSource(bitmap, bitmap.width, bitmap.height);
  } catch {
    $("value").textContent = "–";
    $("band").textContent = `${file.name} is not a picture that this browser can read`;
    $("causes").replaceChildren();
  }
}

function stopCamera() {
  stream?.getTracks().forEach(track => track.stop());
  stream = null;
  $("camera").textContent = "Use the camera";
}

async function watchCamera() {
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: true });
  } catch (error) {
    $("band").textContent = `The camera cannot be used: ${error.message}`;
    return;
  }
  $("camera").textContent = "Stop the camera";
  const video = Object.assign(document.createElement("video"), { srcObject: stream, muted: true, playsInline: true });
  await video.play();
  while (stream) {
    await scoreSource(video, video.videoWidth, video.videoHeight);
    await new Promise(requestAnimationFrame);
  }
}

function listen() {
  const stage = $("stage");
  $("file").onchange = event => event.target.files[0] && scoreFile(event.target.files[0]);
  $("camera").onclick = () => (stream ? stopCamera() : watchCamera());
  $("map").onchange = event => { overlay.hidden = !event.target.checked; };
  for (const kind of ["dragover", "dragleave", "drop"])
    document.addEventListener(kind, event => {
      event.preventDefault();
      stage.classList.toggle("over", kind === "dragover");
      if (kind === "drop" && event.dataTransfer.files[0]) scoreFile(event.dataTransfer.files[0]);
    });
}

try {
  scorer = await Scorer.open(MODEL);
  const { name, version, score, licence } = scorer.contract;
  $("model").textContent = `${name} ${version}, ${licence}. ${score.scale}.`;
  $("band").textContent = "Ready";
  listen();
  document.body.dataset.ready = "yes";
  if ("serviceWorker" in navigator) navigator.serviceWorker.register("offline.js");
} catch (error) {
  $("band").textContent = `The model cannot be opened: ${error.message}`;
}

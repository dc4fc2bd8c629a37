// Keeps all that the page is made of, so that it works without a network once it was loaded.
const CACHE = "dpiqa-demo-1";
const FILES = ["./", "index.html", "style.css", "app.js", "scorer.js", "contract.js", "resize.js", "void.js",
  "dpiqa-lite0-int8.onnx", "vendor/ort.wasm.min.mjs", "vendor/ort-wasm-simd-threaded.mjs", "vendor/ort-wasm-simd-threaded.wasm"];

self.addEventListener("install", event => event.waitUntil(caches.open(CACHE).then(cache => cache.addAll(FILES))));
self.addEventListener("activate", event => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", event => event.respondWith(
  fetch(event.request).catch(() => caches.match(event.request, { ignoreSearch: true }))));

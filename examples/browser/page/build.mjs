// Writes the page into examples/browser/dist. SEAT is the directory that wasm-bindgen wrote the wasm module into.
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const seat = resolve(process.env.SEAT ?? join(here, "../wasm/pkg"));
const dist = resolve(process.env.DIST ?? join(here, "../dist"));
rmSync(dist, { recursive: true, force: true });
mkdirSync(dist, { recursive: true });
await build({
  entryPoints: [join(here, "src/page.ts"), join(here, "src/worker.ts")],
  alias: { "layercast-page": join(seat, "layercast_page.js") },
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2023",
  charset: "utf8",
  legalComments: "none",
  outdir: dist,
});
for (const name of ["index.html", "page.css", "icon.svg"]) cpSync(join(here, "src", name), join(dist, name));
cpSync(join(seat, "layercast_page_bg.wasm"), join(dist, "seat.wasm"));
for (const name of ["index.html", "page.css", "page.js", "worker.js", "seat.wasm"]) {
  const plain = readFileSync(join(dist, name));
  const packed = gzipSync(plain, { level: 9 });
  writeFileSync(join(dist, `${name}.gz`), packed);
  console.log(`${name}: ${plain.length} bytes, ${packed.length} by gzip`);
}

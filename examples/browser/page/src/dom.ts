// Elements, without markup in strings: what people wrote is text, and never anything else.

type Attributes = Record<string, string | number | boolean | null | undefined | ((event: Event) => void)>;

/** Makes an element. Attributes that are false or null are left out, and functions are handlers. */
export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: (Node | string | null | undefined)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, String(value));
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** The element of the page with this id. */
export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`no #${id}`);
  return found as T;
}

const ICONS = {
  voice: "M12 3a3 3 0 0 1 3 3v5a3 3 0 0 1-6 0V6a3 3 0 0 1 3-3zM5.500 11a6.500 6.500 0 0 0 13 0M12 17.500V21",
  camera: "M3 7.500a1.500 1.500 0 0 1 1.500-1.500h9a1.500 1.500 0 0 1 1.500 1.500v9a1.500 1.500 0 0 1-1.500 1.500h-9A1.500 1.500 0 0 1 3 16.500zM15 11l6-3.500v9L15 13",
  share: "M3.500 5h17v11h-17zM9 20h6M12 16v4M12 13V8M9.500 10.200 12 7.700l2.500 2.500",
  hand: "M8 12.500V6.200a1.300 1.300 0 0 1 2.600 0V11 4.800a1.300 1.300 0 0 1 2.600 0V11 6.200a1.300 1.300 0 0 1 2.600 0v5.800 -3.500a1.300 1.300 0 0 1 2.600 0V14a7 7 0 0 1-7 7c-3 0-4.500-1.500-5.600-3.800L4.300 14c-.6-1.300 1-2.300 1.900-1.200z",
  people: "M9 11a3.500 3.500 0 1 0 0-7 3.500 3.500 0 0 0 0 7zM2.500 20c.4-3.600 3-5.500 6.500-5.500s6.100 1.900 6.500 5.500M16 4.300a3.500 3.500 0 0 1 0 6.400M18 14.900c2 .7 3.200 2.400 3.500 5.100",
  layers: "M12 3.500 21 8l-9 4.500L3 8zM3.500 12.200 12 16.500l8.500-4.300M3.500 16.400 12 20.700l8.500-4.300",
  leave: "M14 4H6v16h8M10.500 12H21M17.500 8.500 21 12l-3.500 3.500",
  shield: "M12 3 4.500 6v5.500c0 4.600 3 8 7.500 9.500 4.500-1.500 7.500-4.900 7.500-9.500V6zM8.700 12l2.300 2.300 4.300-4.500",
  pin: "M9 4h6l-.8 6.200 3.300 3.300h-11l3.300-3.300zM12 13.500V20",
  muted: "M4 4l16 16M15 10V6a3 3 0 0 0-5.800-1M9 9v2a3 3 0 0 0 4.600 2.500M5.500 11a6.500 6.500 0 0 0 10.400 5.200M12 17.500V21",
  close: "M6 6l12 12M18 6 6 18",
};

export type IconName = keyof typeof ICONS;

export function icon(name: IconName): SVGSVGElement {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

/** The letters that stand for somebody without a picture. */
export function initials(name: string): string {
  const words = name.split(/\s+/).filter((word) => /^[\p{L}\p{N}]/u.test(word));
  return [words[0], words.length > 1 ? words.at(-1) : undefined].map((word) => [...(word ?? "")][0] ?? "").join("").toUpperCase() || "?";
}

const toasts = () => byId("toasts");

/** Says something for a while, to screen readers too. */
export function toast(text: string, grave = false): void {
  const made = el("p", { class: grave ? "toast grave" : "toast" }, text);
  toasts().append(made);
  while (toasts().childElementCount > 3) toasts().firstElementChild?.remove();
  setTimeout(() => made.remove(), grave ? 12_000 : 5_000);
}

/** Warnings that are kept at most. What comes beyond is counted, so that nobody washes the first ones away. */
const WARNINGS = 8;
let unshown = 0;

/** Warns until whoever reads it has put it away. */
export function warn(text: string): void {
  const all = byId("warnings");
  const texts = [...all.querySelectorAll("span")];
  if (texts.some((it) => it.textContent === text)) return;
  if (texts.length >= WARNINGS) {
    unshown += 1;
    all.dataset.more = `and ${unshown} more`;
    return;
  }
  const made = el("p", {}, el("span", {}, text),
    el("button", { type: "button", class: "plain", "aria-label": "Put this warning away", click: () => made.remove() }, icon("close")));
  all.append(made);
}

/** Asks, and resolves to the answer's place, or null. */
export function ask(
  title: string,
  text: string,
  answers: { label: string; kind?: "primary" | "danger" }[],
  none = "Stay",
): Promise<number | null> {
  const dialog = byId<HTMLDialogElement>("ask");
  byId("ask-title").textContent = title;
  byId("ask-text").textContent = text;
  return new Promise((resolve) => {
    let chosen: number | null = null;
    const buttons = answers.map(({ label, kind }, at) =>
      el("button", { type: "button", class: kind ?? null, click: () => { chosen = at; dialog.close(); } }, label));
    const stay = el("button", { type: "button", click: () => dialog.close() }, none);
    byId("ask-buttons").replaceChildren(stay, ...buttons);
    dialog.addEventListener("close", () => resolve(chosen), { once: true });
    dialog.showModal();
  });
}

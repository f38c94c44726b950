// The panel at the side: people, layers, and what people compare.

import { el } from "./dom";
import { type Ledger, becauseOf, ladder, why } from "./figures";
import type { Command, Demand, Group, Kind, Person, Published, Right, Stream, Window } from "./protocol";

const RIGHTS: [Right, string][] = [["voice", "Microphone"], ["camera", "Camera"], ["share", "Screen"]];

export interface View {
  people: Person[];
  group: Group | null;
  locked: boolean;
  streams: Map<number, Stream>;
  reasons: Map<number, string>;
  own: Map<Kind, Published>;
  demands: Map<Kind, Demand>;
  windows: Window[];
  ledger: Ledger;
  storage: string;
  keys: boolean;
  useKeys(keys: boolean): void;
  command(command: Command): void;
  confirm(title: string, text: string, label: string): Promise<boolean>;
}

/** Puts new content in, and leaves the focus where it was. */
function replace(body: HTMLElement, children: Node[]): void {
  const key = (document.activeElement as HTMLElement | null)?.dataset?.key;
  const open = new Set([...body.querySelectorAll<HTMLDetailsElement>("details[open]")].map((it) => it.dataset.key));
  body.replaceChildren(...children);
  for (const it of body.querySelectorAll<HTMLDetailsElement>("details")) it.open = open.has(it.dataset.key);
  if (key !== undefined) body.querySelector<HTMLElement>(`[data-key="${CSS.escape(key)}"]`)?.focus();
}

function button(key: string, label: string, act: () => void, attributes: Record<string, string | boolean | null> = {}): HTMLButtonElement {
  return el("button", { type: "button", class: "slim", "data-key": key, click: act, ...attributes }, label);
}

export function peoplePanel(body: HTMLElement, view: View): void {
  const { group, command } = view;
  const organizes = group?.organizer ?? false;
  const waiting = view.people.filter((person) => person.waiting);
  const here = view.people.filter((person) => !person.waiting);
  const children: Node[] = [];
  if (organizes) {
    children.push(el("div", { class: "buttons" },
      button("invite", "Invite a guest", () => command({ do: "invite" })),
      button("lock", view.locked ? "Unlock the meeting" : "Lock the meeting", () => command({ do: "lock", locked: !view.locked }))));
  }
  if (waiting.length > 0) {
    children.push(el("h3", {}, "At the door"), el("ul", { class: "list" }, ...waiting.map((person) => door(person, organizes, command))));
  }
  children.push(el("h3", {}, `In the meeting (${here.length})`), el("ul", { class: "list" }, ...here.map((person) => member(person, organizes, view))));
  const keys = el("input", { type: "checkbox", "data-key": "keys", checked: view.keys, change: (event) => view.useKeys((event.target as HTMLInputElement).checked) });
  children.push(el("section", { class: "keys" }, el("h3", {}, "Keys"),
    el("label", { class: "check small" }, keys, "M\u00a0microphone, V\u00a0camera, S\u00a0screen, H\u00a0hand, P\u00a0people, L\u00a0layers")));
  replace(body, children);
}

function door(person: Person, organizes: boolean, command: View["command"]): HTMLElement {
  const { participant, name, outsider, role } = person;
  return el("li", { class: "person waits", "data-participant": participant },
    el("div", { class: "person-head" }, el("strong", {}, name), el("span", { class: "soft small" }, outsider ? `${role}, from outside` : role)),
    organizes
      ? el("div", { class: "buttons" },
          button(`admit${participant}`, "Let in", () => command({ do: "admit", participant }), { class: "slim primary", "aria-label": `Let ${name} in` }),
          button(`refuse${participant}`, "Send away", () => command({ do: "remove", participant }), { "aria-label": `Send ${name} away` }))
      : null);
}

function member(person: Person, organizes: boolean, view: View): HTMLElement {
  const { participant, name, own, role, away, hand, in_group, fingerprint, rights } = person;
  const says = [own ? "you" : null, role, in_group ? null : "not in the group yet", away ? "connection lost" : null, hand ? "raises a hand" : null];
  const actions: Node[] = [];
  if (organizes && !own) {
    for (const [right, label] of RIGHTS) {
      const allowed = rights?.[right] ?? false;
      actions.push(button(`${right}${participant}`, label, () => view.command({ do: "allow", participant, right, allowed: !allowed }),
        { "aria-pressed": String(allowed), "aria-label": `${label} of ${name}` }));
    }
    actions.push(
      button(`hand${participant}`, "Make organizer", async () => {
        if (await view.confirm("Another organizer", `${name} then lets people in and puts them out, and you do not.`, "Hand over")) {
          view.command({ do: "hand_over", participant });
        }
      }),
      button(`remove${participant}`, "Remove", async () => {
        if (await view.confirm("Remove", `${name} gets no picture, no sound and no key any more, and does not come back.`, "Remove")) {
          view.command({ do: "remove", participant });
        }
      }, { class: "slim danger", "aria-label": `Remove ${name}` }));
  }
  return el("li", { class: "person", "data-participant": participant },
    el("div", { class: "person-head" }, el("strong", {}, name), el("span", { class: "soft small" }, says.filter((it) => it !== null).join(", "))),
    fingerprint === null ? null
      : el("details", { "data-key": `more${participant}` },
          el("summary", { "data-key": `summary${participant}` }, organizes && !own ? "Rights and fingerprint" : "Fingerprint"),
          actions.length > 0 ? el("div", { class: "buttons" }, ...actions) : null,
          el("p", { class: "mono small" }, fingerprint)));
}

export function codePanel(body: HTMLElement, view: View): void {
  const { group } = view;
  if (!group) return replace(body, [el("p", {}, "You are not in the group yet.")]);
  const blocks = group.code.split(" ");
  replace(body, [
    el("p", {}, "Read this code to each other. If all have the same, only those in the list of people can see and hear."),
    el("div", { class: "code mono", role: "group", "aria-label": `Code of the meeting: ${group.code}` }, ...blocks.map((block) => el("span", {}, block))),
    el("p", { class: "soft small" }, `It is of epoch ${group.epoch}, with ${group.members} members, and changes whenever somebody comes or goes.`),
    el("h3", {}, "Your fingerprint"),
    el("p", { class: "mono small" }, group.fingerprint),
    el("h3", {}, "What the relay keeps"),
    el("p", { class: "small" }, view.storage || "The relay did not say."),
  ]);
}

/** Spatial layers from top to bottom, temporal ones from left to right. */
function grid(comes: Set<string>, label: string): HTMLElement {
  const highest = (at: number, least: number) => Math.max(least, ...[...comes].map((layer) => Number(layer[at])));
  const [spatial, temporal] = [highest(1, 2), highest(3, 2)];
  const rows = Array.from({ length: spatial + 1 }, (_, up) => {
    const cells = Array.from({ length: temporal + 1 }, (_, t) => {
      const layer = `S${spatial - up}T${t}`;
      return el("td", { class: comes.has(layer) ? "on" : null }, layer);
    });
    return el("tr", {}, ...cells);
  });
  return el("table", { class: "layers", role: "img", "aria-label": label }, el("tbody", {}, ...rows));
}

function card(name: string, key: string, comes: Set<string>, what: string, reason: string, refused: Record<string, number>): HTMLElement {
  const list = [...comes].sort().join(", ") || "nothing";
  const { replayed = 0, ...others } = refused;
  const dropped = Object.entries(others).map(([kind, count]) => `${count} ${kind.replaceAll("_", " ")}`).join(", ");
  return el("section", { class: "stream", "data-layers": list, "data-stream": key, "aria-label": name },
    el("h3", {}, name),
    el("div", { class: "stream-row" }, grid(comes, `Layers: ${list}`), el("div", { class: "small" }, el("p", {}, what || "no picture"), el("p", { class: "soft" }, reason))),
    // The path does that now and then, and a relay might: nothing is shown twice.
    replayed > 0 ? el("p", { class: "soft small twice" }, `Came again, and was dropped: ${replayed}`) : null,
    dropped ? el("p", { class: "error small" }, `Refused: ${dropped}`) : null);
}

export function layersPanel(body: HTMLElement, view: View): void {
  const { ledger } = view;
  const children: Node[] = [];
  const describe = (stream: number) => {
    const { counts } = ledger.figures(stream);
    return counts && counts.width > 0 ? `${counts.width}x${counts.height}, ${counts.rate.toFixed(0)}/s, ${counts.kbps.toFixed(0)} kbit/s` : "";
  };
  const videos = [...view.streams.values()].filter((stream) => stream.kind !== "audio");
  children.push(el("h3", {}, "What comes, and why no more"));
  if (videos.length === 0) children.push(el("p", { class: "soft" }, "Nobody sends a picture."));
  for (const stream of videos) {
    const figures = ledger.figures(stream.stream);
    const window = view.windows.find((window) => window.stream === stream.stream);
    const name = stream.kind === "screen" ? `${stream.name}'s screen` : stream.name;
    const isAway = view.people.some((person) => person.participant === stream.participant && person.away);
    const reason = isAway ? "Whoever sends it has lost the connection." : why(stream, window, figures, view.reasons.get(stream.stream));
    children.push(card(name, String(stream.stream), ladder(figures.layers), describe(stream.stream), reason, figures.refused));
  }
  children.push(el("h3", {}, "What you send, and for whom"));
  const sends = [...view.own.values()].filter((own) => own.kind !== "audio");
  if (sends.length === 0) children.push(el("p", { class: "soft" }, "No picture."));
  for (const own of sends) {
    const figures = ledger.figures(own.stream);
    children.push(card(own.kind === "screen" ? "Your screen" : "Your camera", String(own.stream), ladder(figures.layers), describe(own.stream),
      becauseOf(own.kind, view.demands.get(own.kind)), figures.refused));
  }
  const { cost } = ledger;
  if (cost && cost.sealed + cost.opened > 0) {
    const each = (ms: number, frames: number) => (frames > 0 ? `${(ms / frames).toFixed(2)} ms` : "none yet");
    children.push(el("p", { class: "soft small" },
      `To seal a frame takes ${each(cost.sealMs, cost.sealed)}, to open one ${each(cost.openMs, cost.opened)}; sealing adds ${(cost.added / Math.max(1, cost.sealed)).toFixed(0)} bytes.`));
  }
  replace(body, children);
}

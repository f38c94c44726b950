// The way in: with an account, which may plan a meeting, or by an invitation.

import { ability } from "./browser";
import { byId } from "./dom";
import { Meeting, socketAddress } from "./meeting";
import { plan } from "./plan";
import type { SeatConfig } from "./protocol";

const known = /^\/m\/([^/]+)$/.exec(location.pathname)?.[1];
const meeting = known === undefined ? null : decoded(known);
const fields = new URLSearchParams(location.hash.slice(1).replaceAll("+", "%2B"));
const code = fields.get("code");
/** The certificate that native participants are to find. */
const certificate = /^[0-9a-f]{64}$/.exec(fields.get("cert") ?? "")?.[0] ?? null;
const form = byId<HTMLFormElement>("join");
const input = (name: string) => form.elements.namedItem(name) as HTMLInputElement;

/** What stands in the address, as it is if it is not encoded rightly. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function fail(text: string): void {
  byId("entry-error").textContent = text;
  byId("entry-error").hidden = text === "";
}

async function start(): Promise<void> {
  const able = await ability();
  const byAccount = meeting === null || code === null;
  byId("entry-title").textContent = meeting === null ? "Hold a meeting" : "Join a meeting";
  byId("entry-text").textContent = meeting === null
    ? "You plan it, you let people in, and you put them out."
    : byAccount ? "This link is for people with an account. A guest needs a link of an invitation, which serves once." : "You were invited. The organizer lets you in.";
  byId("meeting-field").hidden = meeting !== null;
  input("title").required = meeting === null;
  byId("account-fields").hidden = !byAccount;
  for (const name of ["account", "password"]) input(name).required = byAccount;
  byId("entry-lacks").textContent = able.lacks.join(" ");
  byId("entry-lacks").hidden = able.lacks.length === 0;
  const submit = form.querySelector("button");
  if (submit) submit.textContent = meeting === null ? "Begin" : "Join";
  if (submit) submit.disabled = !able.canJoin;
  if (!able.sendsVideo) input("camera").checked = false;
  input("camera").disabled = !able.sendsVideo;
  byId("entry").hidden = false;

  let busy = false;
  form.onsubmit = async (event) => {
    event.preventDefault();
    if (busy) return;
    busy = true;
    fail("");
    try {
      const account: [string, string] = [input("account").value.trim(), input("password").value];
      const place = meeting ?? (await plan(socketAddress(), account[0], account[1], input("title").value.trim()));
      const config: SeatConfig = {
        meeting: place,
        name: input("name").value.trim(),
        entry: byAccount ? { account } : { invitation: code },
      };
      byId("entry").hidden = true;
      new Meeting(able, { config, camera: input("camera").checked, voice: input("voice").checked, certificate }, ended);
      input("password").value = "";
    } catch (error) {
      fail((error as Error).message);
      busy = false;
    }
  };
}

function ended(why: string, wasInside: boolean): void {
  for (const id of ["entry", "door", "meeting"]) byId(id).hidden = true;
  byId("end").hidden = false;
  const left = why === "left";
  byId("end-title").textContent = left ? "You left" : wasInside ? "It is over" : "You are not in the meeting";
  byId("end-text").textContent = left ? "The others go on without you." : `${why.charAt(0).toUpperCase()}${why.slice(1)}.`.replace(/\.\.$/, ".");
  byId("end-title").focus();
  byId("end-again").onclick = () => location.reload();
}

void start();

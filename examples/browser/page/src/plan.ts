// Plans a meeting: the one thing that is asked of the relay before there is a seat.

/** Logs in, plans a meeting, and returns its name. */
export function plan(socket: string, account: string, password: string, title: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const relay = new WebSocket(socket);
    const ask = (id: number, request: object) => relay.send(JSON.stringify({ id, ...request }));
    relay.onopen = () => ask(1, { ask: "login", account, password });
    relay.onerror = () => reject(new Error("The relay cannot be reached."));
    relay.onclose = () => reject(new Error("The relay closed the connection."));
    relay.onmessage = ({ data }) => {
      const { answer } = JSON.parse(data as string) as { answer?: { id: number; result: { Ok?: unknown; Err?: string } } };
      if (!answer) return;
      const { id, result } = answer;
      if (result.Err !== undefined) reject(new Error(refusal(result.Err)));
      else if (id === 1) return ask(2, { ask: "plan", title });
      else resolve((result.Ok as { planned: string }).planned);
      relay.close();
    };
  });
}

function refusal(why: string): string {
  if (why === "wrong_credentials") return "Wrong name or password.";
  if (why === "too_many") return "Too many attempts: try again later.";
  return `The relay refused: ${why.replaceAll("_", " ")}.`;
}

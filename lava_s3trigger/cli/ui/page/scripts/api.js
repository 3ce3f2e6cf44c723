// Questions to the server. Of questions of one kind, only the newest is answered.

const newest = new Map();

export async function ask(call, request = {}) {
  const number = (newest.get(call) ?? 0) + 1;
  newest.set(call, number);
  let answer;
  try {
    const response = await fetch(`/api/${call}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(request),
    });
    answer = response.headers.get("content-type")?.startsWith("application/json")
      ? await response.json()
      : { error: await response.text() };
  } catch {
    answer = { error: "The server has ended. Run lava-s3trigger ui again, and open its link." };
  }
  if (newest.get(call) !== number || answer.superseded) return null;
  if (answer.error) throw new Error(answer.error);
  return answer;
}

/**
 * How the worker gets what it needs: from the backend, through Label Studio's interactive route. Self-contained, since its
 * text is all that the worker gets.
 *
 * @param source {url, task, context: that asks for a person}.
 * @param part "runtime" or "decoder"; without one the person is asked for.
 */
export async function askBackend({url, task, context}, part) {
  const response = await fetch(url, {
    method: "POST",
    credentials: "same-origin",
    headers: {"Content-Type": "application/json"},
    body: JSON.stringify({task, context: part ? {result: [], edited: [], browser: part} : context}),
  });
  if (!response.ok) throw new Error(`Label Studio answered ${response.status}`);
  const answer = await response.json();
  if (answer.errors?.length) throw new Error(String(answer.errors[0]));
  return answer.data?.browser ?? {unavailable: "network", reason: "the backend is an older one"};
}

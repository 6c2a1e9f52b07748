/**
 * How the worker gets what it needs: from this page, which asks the panel. Self-contained, since its text is all that the
 * worker gets.
 *
 * @param source {port}: whose other end answers, see {@link portsOf}.
 * @param part "runtime" or "decoder"; without one the person is asked for.
 */
export function askPage({port}, part) {
  return new Promise((done, fail) => {
    const {port1, port2} = new MessageChannel();
    port1.onmessage = ({data}) => {
      port1.close();
      if (data.problem) fail(new Error(data.problem));
      else done(data);
    };
    port.postMessage(part ?? "person", [port2]);
  });
}

/** Ports to a worker: `near` stays here and answers what is asked for at `far`: "person", "runtime" or "decoder". */
export function portsOf(supply) {
  const {port1: near, port2: far} = new MessageChannel();
  near.onmessage = async ({data, ports}) => ports[0].postMessage(await supply(data));
  return {near, far};
}

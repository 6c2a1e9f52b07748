/**
 * What runs in a worker of its own, beside the page, so that the page never waits: it fetches what decodes poses, keeps it
 * in the browser, and decodes. `work` is self-contained, since its text is all that the worker gets. It knows of no server:
 * the canvas of FiftyOne's plugin has the same worker, and asks another one.
 *
 * Messages are `{number, kind, …}` and answered with `{number, …}` or `{number, error, isFinal}`; an answer with
 * `unavailable` ("network" or "person") says for what the backend answers by itself.
 *
 * @param ask (source, part) -> promise of "runtime" or "decoder", or, without a part, of the person that the source, as
 *   `prepare` was given it, is of: as clickpose_labelstudio/browser_decoding.py has them. Self-contained, too.
 */
export function work(ask) {
  const STORE = "parts"; // of the browser's database "clickpose"
  const KEPT = 3; // parts of a kind, of the latest use
  const people = new Map(); // number of a person -> inputs of one view and of all
  const loading = new Map(); // name of a part -> promise of it
  let session = {name: null, ort: null, run: null};
  let queue = Promise.resolve();

  const bytesOf = (base64) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));

  async function unpack(bytes) {
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  /** Run `use(store)` on the browser's database; null where there is none to be had, as in some private windows. */
  function withStore(mode, use) {
    return new Promise((done) => {
      const opening = self.indexedDB?.open("clickpose", 1);
      if (!opening) return done(null);
      opening.onerror = () => done(null);
      opening.onupgradeneeded = () => opening.result.createObjectStore(STORE, {keyPath: "name"});
      opening.onsuccess = () => {
        const transaction = opening.result.transaction(STORE, mode);
        const request = use(transaction.objectStore(STORE));
        transaction.oncomplete = () => (opening.result.close(), done(request?.result ?? null));
        transaction.onerror = transaction.onabort = () => (opening.result.close(), done(null));
      };
    });
  }

  /** A part by its name, from the browser, else from who is asked; fetched once. */
  function part(kind, name, source) {
    if (!loading.has(name)) {
      const promise = read(kind, name, source);
      promise.catch(() => loading.delete(name));
      loading.set(name, promise);
    }
    return loading.get(name);
  }

  async function read(kind, name, source) {
    const kept = await withStore("readonly", (store) => store.get(name));
    const found = kept ?? (await ask(source, kind));
    if (found.name !== name) throw new Error(`Expected the ${kind} ${name}, got ${found.name ?? found.reason}`);
    await withStore("readwrite", (store) => store.put({...found, kind, used: Date.now()}));
    if (!kept) await forgetOld(kind);
    return found;
  }

  async function forgetOld(kind) {
    const all = (await withStore("readonly", (store) => store.getAll())) ?? [];
    const old = all.filter((entry) => entry.kind === kind).sort((a, b) => b.used - a.used).slice(KEPT);
    if (old.length) await withStore("readwrite", (store) => old.forEach(({name}) => store.delete(name)));
  }

  async function open({runtime, decoder}, source) {
    if (session.name === decoder) return;
    const [engine, network] = await Promise.all([part("runtime", runtime, source), part("decoder", decoder, source)]);
    try {
      const ort = session.ort ?? (await start(engine));
      const graph = await unpack(bytesOf(network.graph));
      session = {name: decoder, ort, run: await ort.InferenceSession.create(graph, {executionProviders: ["wasm"]})};
    } catch (error) {
      throw Object.assign(error, {isFinal: true}); // trying again would change nothing
    }
    people.clear();
  }

  async function start({script, wasm}) {
    const address = URL.createObjectURL(new Blob([script], {type: "text/javascript"}));
    const ort = await import(address);
    URL.revokeObjectURL(address);
    ort.env.wasm.numThreads = 1; // more need headers that servers do not send
    ort.env.wasm.wasmBinary = (await unpack(bytesOf(wasm))).buffer;
    return ort;
  }

  /** An input; of features, which have an axis of views first, those of the first `views`. */
  function tensor({type, shape, array}, views) {
    const count = shape.length > 1 ? Math.min(views, shape[0]) : shape[0];
    return new session.ort.Tensor(type, array.subarray(0, (array.length / shape[0]) * count), [count, ...shape.slice(1)]);
  }

  const ARRAYS = {float16: Uint16Array, float32: Float32Array, float64: Float64Array};

  function arrayOf({type, shape, data}) {
    return {type, shape, array: new ARRAYS[type](bytesOf(data).buffer)};
  }

  /** Get ready for a person. */
  async function prepare({person, source}) {
    const given = await ask(source);
    if (given.unavailable) return given;
    const isFirst = session.name !== given.decoder;
    await open(given, source);
    const inputs = Object.entries(given.inputs).map(([name, input]) => [name, arrayOf(input)]);
    const of = (views) => Object.fromEntries(inputs.map(([name, input]) => [name, tensor(input, views)]));
    people.set(person, {decoder: given.decoder, 1: of(1), 2: of(2)});
    if (isFirst) await warmUp(person, given.joint_count);
    return {joints: given.joints, count: given.joint_count, imageHw: given.image_hw};
  }

  /** The first decoding takes several times as long as the others: let nobody wait for it. */
  function warmUp(person, count) {
    const nothing = {keypoints: new Float64Array(2 * count).fill(NaN), fixed: new Float64Array(count)};
    const first = () => decode({person, views: 2, ...nothing, box: Float64Array.of(0, 0, 9, 9)});
    return (queue = queue.then(first));
  }

  /** The new pose of a person after clicks; in pixels of the photo. */
  async function decode({person, views, keypoints, fixed, box}) {
    const known = people.get(person);
    if (known?.decoder !== session.name) throw new Error("This person is not known any more");
    const {Tensor} = session.ort;
    const started = performance.now();
    const result = await session.run.run({
      ...known[views],
      keypoints: new Tensor("float64", keypoints, [fixed.length, 2]),
      fixed: new Tensor("float64", fixed, [fixed.length]),
      box: new Tensor("float64", box, [4]),
    });
    const take = (name) => Array.from(result[name].data);
    return {
      keypoints: take("new_keypoints"),
      box: take("new_box"),
      scores: take("keypoint_scores"),
      visibilities: take("visibility_scores"),
      score: take("instance_score")[0],
      isCovered: take("covered")[0] > 0.5,
      ms: performance.now() - started,
    };
  }

  const forget = ({person}) => (people.delete(person), {});
  const kinds = {prepare, decode, forget};

  self.onmessage = ({data}) => {
    const answer = async () => {
      try {
        self.postMessage({number: data.number, ...(await kinds[data.kind](data))});
      } catch (error) {
        self.postMessage({number: data.number, error: String(error?.message ?? error), isFinal: error?.isFinal});
      }
    };
    // decodings wait for each other, since the runtime has one memory; a fetch holds up none of them
    if (data.kind === "decode") queue = queue.then(answer);
    else answer();
  };
}

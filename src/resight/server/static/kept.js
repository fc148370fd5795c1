// The pictures of the last searches, so that going back and loading the page again find them. They stay in this tab.

const LIST = "resight-asked";
const MOST = 6; // searches; the oldest are forgotten, sooner where the browser has no room
const memory = new Map(); // by id: files

const ids = () => JSON.parse(sessionStorage.getItem(LIST) ?? "[]");

function forget(id) {
  sessionStorage.removeItem(`${LIST}-${id}`);
  sessionStorage.setItem(LIST, JSON.stringify(ids().filter((one) => one !== id)));
}

/** Keep files; the id that finds them again in this tab. */
export function keep(files) {
  const id = [...crypto.getRandomValues(new Uint8Array(4))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  memory.set(id, files);
  store(id, files).catch(() => forget(id)); // then it is found until the page is loaded again
  return id;
}

/** The files of an id; null where this tab has none. */
export function recall(id) {
  const kept = memory.has(id) ? null : sessionStorage.getItem(`${LIST}-${id}`);
  if (kept) memory.set(id, JSON.parse(kept).map(unpacked));
  return memory.get(id) ?? null;
}

async function store(id, files) {
  const packed = JSON.stringify(await Promise.all(files.map(pack)));
  for (const old of ids().slice(0, Math.max(0, ids().length + 1 - MOST))) forget(old);
  for (;;) {
    try {
      sessionStorage.setItem(`${LIST}-${id}`, packed);
      break;
    } catch (full) {
      const [oldest] = ids();
      if (!oldest) throw full;
      forget(oldest);
    }
  }
  sessionStorage.setItem(LIST, JSON.stringify([...ids(), id]));
}

const pack = (file) =>
  new Promise((done, failed) => {
    const reader = new FileReader();
    reader.onload = () => done({ name: file.name, type: file.type, data: reader.result.split(",")[1] ?? "" });
    reader.onerror = () => failed(reader.error);
    reader.readAsDataURL(file);
  });

function unpacked({ name, type, data }) {
  const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
  return new File([bytes], name, { type });
}

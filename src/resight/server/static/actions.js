// Everything that changes names or erases, each after a question; changes of names can be undone.

import { all, post } from "./api.js";
import { ask } from "./ask.js";
import { counted } from "./format.js";
import { changed, standing } from "./standing.js";

const NO_WAY_BACK =
  "Vectors, thumbnails and everything else about them are removed from the gallery's files. This cannot be undone.";

const MOST = 1000; // ids of one request

const ids = (records) => records.map(({ id }) => id);

/** A function that takes a change of names back: the requests, one after the other. */
const undo =
  (...requests) =>
  async () => {
    for (const [path, content] of requests) await post(path, content);
    await changed("Undone.");
  };

/** Where a person's timeline is. */
export const personPage = (name) => `#/people/${encodeURIComponent(name)}`;

export function nameRecords(records) {
  ask({
    title: `Name ${counted(records.length, "record")}`,
    text: ["An existing name gets these records as well."],
    fields: [{ name: "name", label: "Name", list: "known-names" }],
    confirm: "Name",
    async act({ name }) {
      await post("identities/enrol", { name, ids: ids(records) });
      const nameless = ids(records.filter(({ identity }) => identity === null));
      await changed(
        `${counted(records.length, "record")} named ${name.trim()}.`,
        undo(["identities/split", { name, ids: nameless }]),
      );
    },
  });
}

export function splitRecords(records) {
  const name = records[0].identity;
  ask({
    title: `Split ${counted(records.length, "record")} from ${name}`,
    text: [`They no longer count as ${name}. Without a new name they become unknown.`],
    fields: [{ name: "to", label: "New name", optional: true }],
    confirm: "Split off",
    async act({ to }) {
      const other = to.trim() || null;
      await post("identities/split", { name, ids: ids(records), new_name: other });
      const back = ["identities/enrol", { name, ids: ids(records) }];
      await changed(
        `${counted(records.length, "record")} split off ${name}.`,
        other ? undo(["identities/split", { name: other, ids: ids(records) }], back) : undo(back),
      );
    },
  });
}

export function eraseRecords(records) {
  ask({
    title: `Erase ${counted(records.length, "record")}`,
    text: [NO_WAY_BACK],
    typed: String(records.length),
    danger: true,
    confirm: "Erase",
    async act() {
      const { erased } = await post("erase", { ids: ids(records) });
      await changed(`${counted(erased, "record")} erased.`);
    },
  });
}

export function renamePerson(name) {
  ask({
    title: `Rename ${name}`,
    fields: [{ name: "to", label: "New name", value: name }],
    confirm: "Rename",
    async act({ to }) {
      await post("identities/rename", { name, new_name: to });
      location.replace(personPage(to.trim().normalize("NFC")));
      await changed(`${name} is now ${to.trim()}.`, async () => {
        await post("identities/rename", { name: to, new_name: name });
        location.replace(personPage(name));
        await changed("Undone.");
      });
    },
  });
}

/** What takes a merge back that is about to be made; null where it is about too many records. */
async function unmerge(into, others) {
  const requests = [];
  for (const name of others) {
    const records = await all("timeline", "records", "after_id", { identity: name });
    if (records.length > MOST) return null;
    requests.push(["identities/split", { name: into, ids: ids(records), new_name: name }]);
  }
  return undo(...requests);
}

/** Make one of several people, under one of their names. */
export function mergePeople(names) {
  ask({
    title: `Merge ${names.length} people`,
    text: [`${names.join(", ")} become one. All their records get the name that stays.`],
    fields: [{ name: "into", label: "Name to keep", options: names, value: names[0] }],
    confirm: "Merge",
    async act({ into }) {
      const others = names.filter((name) => name !== into);
      const back = await unmerge(into, others);
      await post("identities/merge", { into, others });
      await changed(`${names.length} people merged into ${into}.`, back);
    },
  });
}

/** Merge one person into another that is still to be chosen. */
export function mergePerson(name) {
  const others = standing.people.map((person) => person.name).filter((other) => other !== name);
  ask({
    title: `Merge ${name} into another`,
    text: [`All records of ${name} get the other name; the name ${name} is removed.`],
    fields: [{ name: "into", label: "Into", options: others }],
    confirm: "Merge",
    async act({ into }) {
      const back = await unmerge(into, [name]);
      await post("identities/merge", { into, others: [name] });
      location.replace(personPage(into));
      await changed(`${name} merged into ${into}.`, back);
    },
  });
}

export function erasePerson(name, records) {
  ask({
    title: `Erase ${name}`,
    text: [`${counted(records, "record")} of ${name} and the name itself. ${NO_WAY_BACK}`],
    typed: name,
    danger: true,
    confirm: "Erase",
    async act() {
      const { erased } = await post("erase", { identity: name });
      location.replace("#/people");
      await changed(`${name} erased: ${counted(erased, "record")}.`);
    },
  });
}

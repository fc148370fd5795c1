// Pictures are added to the gallery.

import { form, post } from "./api.js";
import { ask } from "./ask.js";
import { count, counted, seconds } from "./format.js";
import { changed } from "./standing.js";

/** Ask what is known about pictures, and add them; without files these are asked for too. */
export function addPictures(files = null) {
  ask({
    title: files ? (files.length > 1 ? `Add these ${files.length} pictures` : "Add this picture") : "Add pictures",
    text: [files ? "All fields are optional." : "Choose pictures or a folder; the other fields are optional."],
    fields: [
      !files && { name: "images", label: "Pictures", type: "file", accept: "image/*", multiple: true, optional: true },
      !files && { name: "folder", label: "Folder", type: "file", multiple: true, folder: true, optional: true },
      { name: "camera", label: "Camera", list: "known-cameras", optional: true },
      !files && { name: "byFolder", label: "Cameras are the names of the folders", type: "checkbox" },
      { name: "time", label: "Seen", type: "datetime-local", optional: true },
      { name: "identity", label: "Name", list: "known-names", optional: true },
      { name: "basis", label: "Legal basis for keeping it", optional: true },
      { name: "expires", label: "Keep until", type: "datetime-local", optional: true },
      { name: "addErased", label: "Also add what was erased before", type: "checkbox" },
    ].filter(Boolean),
    confirm: "Add",
    async act({ images = files ?? [], folder = [], camera, byFolder, time, identity, basis, expires, addErased }, tell) {
      const all = [...images, ...folder.filter(({ type }) => type.startsWith("image/"))];
      if (!all.length)
        throw new Error(folder.length ? "The folder holds no pictures." : "Choose at least one picture or a folder.");
      const known = { time: seconds(time), identity, basis, expires: seconds(expires), add_erased: addErased && true };
      const failed = [];
      let added = 0;
      let erased = 0;
      let different = 0;
      for (const [at, image] of all.entries()) {
        if (all.length > 1) tell(`${count(at)} of ${count(all.length)} done`);
        const path = image.webkitRelativePath || image.name;
        const of = byFolder ? (path.split("/").at(-2) ?? camera) : camera;
        try {
          const put = await post("records", form({ image, camera: of, source: path, ...known }));
          added += put.new;
          different += put.different;
        } catch (error) {
          if (error.status === 409) erased += 1;
          else if (all.length === 1 || ![413, 415, 422].includes(error.status)) throw error; // not about one picture
          else failed.push(`${path}: ${error.message}`);
        }
      }
      const left = failed.length + erased;
      if (left < all.length || !erased) await changed(sentence(all.length, added, left, different));
      if (erased)
        throw new Error(
          `${counted(erased, "picture")} ${erased > 1 ? "were" : "was"} erased before: tick the box to add ${erased > 1 ? "them" : "it"}.`,
        );
      if (failed.length) throw new Error(`${counted(failed.length, "picture")} could not be added; first ${failed[0]}`);
    },
  });
}

function sentence(pictures, added, failed, different) {
  if (pictures === 1 && different)
    return "This picture was in the gallery already, with another name, basis or expiry, which it keeps.";
  if (pictures === 1) return added ? "Added." : "This picture was in the gallery already.";
  const known = pictures - added - failed;
  const kept = different ? `, ${count(different)} of them with another name, basis or expiry, which they keep` : "";
  return `${count(added)} added${known ? `, ${count(known)} in the gallery already${kept}` : ""}.`;
}

// A picture is added to the gallery.

import { form, post } from "./api.js";
import { ask } from "./ask.js";
import { seconds } from "./format.js";
import { changed } from "./standing.js";

/** Ask what is known about a picture, and add it; without a file that is asked for too. */
export function addPicture(file = null) {
  ask({
    title: file ? "Add this picture" : "Add a picture",
    text: [file ? "All fields are optional." : "All fields except the picture are optional."],
    fields: [
      !file && { name: "image", label: "Picture", type: "file", accept: "image/*" },
      { name: "camera", label: "Camera", list: "known-cameras", optional: true },
      { name: "time", label: "Seen", type: "datetime-local", optional: true },
      { name: "identity", label: "Name", list: "known-names", optional: true },
      { name: "basis", label: "Legal basis for keeping it", optional: true },
      { name: "expires", label: "Keep until", type: "datetime-local", optional: true },
    ].filter(Boolean),
    confirm: "Add",
    async act({ image = file, camera, time, identity, basis, expires }) {
      const fields = {
        image,
        camera,
        time: seconds(time),
        identity,
        source: image.name,
        basis,
        expires: seconds(expires),
      };
      const answer = await post("records", form(fields));
      await changed(answer.new ? "The picture is in the gallery." : "This picture was in the gallery already.");
    },
  });
}
